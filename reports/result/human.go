package result

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Micros writes a time given in microseconds for people: a unit and three significant digits, whole microseconds ("912 µs", "1.24 ms", "13.0 s", "2 h 3 min").
func Micros(us float64) string {
	switch a := math.Abs(us); {
	case math.IsNaN(us) || math.IsInf(us, 0):
		return "-"
	case a < 999.5:
		return strconv.FormatFloat(us, 'f', 0, 64) + " µs"
	case a < 999.5e3:
		return digits(us/1e3) + " ms"
	case a < 120e6:
		return digits(us/1e6) + " s"
	case a < 1e15:
		d := (time.Duration(us) * time.Microsecond).Round(time.Second).String()
		if strings.HasSuffix(d, "m0s") {
			d = d[:len(d)-len("0s")]
		}
		return d
	}
	return strconv.FormatFloat(us/1e6, 'g', 3, 64) + " s"
}

// Count writes a number with commas between thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Bytes writes a size with binary units: "512 B", "24.1 MiB".
func Bytes(n float64) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return "-"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for math.Abs(n) >= 999.5 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	if i == 0 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " B"
	}
	return digits(n) + " " + units[i]
}

// Number writes a measure without a unit: whole numbers with commas, others with three significant digits.
func Number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v == math.Trunc(v) && math.Abs(v) < 1e15, math.Abs(v) >= 1000 && math.Abs(v) < 1e15:
		return Count(int64(math.Round(v)))
	}
	return digits(v)
}

// Measure writes a value in a unit of [Gate].
func Measure(v float64, unit string) string {
	switch unit {
	case "us":
		return Micros(v)
	case "ms":
		return Micros(v * 1e3)
	case "s":
		return Micros(v * 1e6)
	case "bytes":
		return Bytes(v)
	case "ratio":
		return digits(100*v) + " %"
	}
	return Number(v)
}

// Seen says in words what a threshold was held against: "measured 12.1 ms; 3 never came, counted as late".
func (g *Gate) Seen() string {
	s := "no value"
	if g.Value != nil {
		s = "measured " + Measure(*g.Value, g.Unit)
	}
	if g.Reason != "" {
		s += "; " + Escape(g.Reason)
	}
	return s
}

// digits writes three significant digits, without an exponent where it can.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0:
		return "0"
	case a < 0.001 || a >= 1e6:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// Protocol writes a [Target.HTTP] for people.
func Protocol(http string) string {
	switch http {
	case "h2c":
		return "HTTP/2 (cleartext)"
	case "":
		return "HTTP"
	}
	return "HTTP/" + http
}

// Where says in words where the bytes at fault are: "c1, byte 1,044, 1 byte, after 1.20 s".
func (e *Evidence) Where() string {
	size := "something is missing here"
	if e.Length > 0 {
		size = Plural(int64(e.Length), "byte")
	}
	return fmt.Sprintf("%s, byte %s, %s, after %s", cmp.Or(Escape(e.Connection), "connection"), Count(e.Offset), size, Micros(e.TimeMS*1e3))
}

// Lines shows the evidence as lines for a fixed pitch: where, the bytes among their neighbours, the ones at fault marked below, and those in hexadecimal.
func (e *Evidence) Lines() []string {
	before, fault, after, marked := e.Marked()
	before, fault = Escape(before), Escape(fault)
	lines := []string{e.Where(), before + fault + Escape(after)}
	if marked {
		lines = append(lines, strings.Repeat(" ", utf8.RuneCountInString(before))+strings.Repeat("^", max(1, utf8.RuneCountInString(fault))))
	}
	if e.Hex != "" {
		lines = append(lines, "hex "+e.HexShown())
	}
	return lines
}

// HexShown is Hex as it may be shown, with "…" where there were more bytes.
func (e *Evidence) HexShown() string {
	if 3*e.Length-1 > len(e.Hex) {
		return Escape(e.Hex) + " …"
	}
	return Escape(e.Hex)
}

// CorrelationRows says how events were matched, and what is to be known of time stamps that they carry; nothing of a run that does not say.
func (l *Load) CorrelationRows() [][2]string {
	c := l.Correlation
	if c == nil {
		return nil
	}
	rows := [][2]string{{"matched", fmt.Sprintf("tier %d: %s", c.Tier, Escape(c.How))}}
	switch {
	case c.Failed != "":
		rows = append(rows, [2]string{"compared", "no: " + Escape(c.Failed)})
	case c.Alone > 0:
		rows = append(rows, [2]string{"compared", Plural(c.Alone, "event") + " of one receiver alone, taken for its own"})
	}
	if k := c.Clock; k != nil {
		s := fmt.Sprintf("%s: arrival less stamp %s to %s, %s below zero", Escape(k.Stamp), Micros(k.MinUS), Micros(k.MaxUS), Count(k.Negative))
		switch {
		case k.Same:
			s += "; the clock is this machine's"
		case k.FloorUS != nil:
			s += "; another clock, so deliver is what lies above " + Micros(*k.FloorUS)
			if k.DriftPPM != 0 {
				s += fmt.Sprintf(", which drifts by %.1f ppm", k.DriftPPM)
			}
		}
		rows = append(rows, [2]string{"time stamps", s})
		if c.Unstamped > 0 {
			rows = append(rows, [2]string{"without stamp", Plural(c.Unstamped, "event")})
		}
	}
	return rows
}

// MachineRows writes for people what the run was made on and with; unknown ones are left out.
func (l *Load) MachineRows() [][2]string {
	rows := l.Environment.Rows()
	if l.Generator.Engine != "" {
		rows = append(rows, [2]string{"engine", l.Generator.Engine})
	}
	return rows
}

// Rows writes for people what the machine is; what is unknown is left out.
func (e *Environment) Rows() [][2]string {
	rows := [][2]string{{"system", e.OS + "/" + e.Arch}, {"processors", Count(int64(e.CPUs))}}
	if e.Kernel != "" {
		rows = append(rows, [2]string{"kernel", e.Kernel})
	}
	if e.MaxFiles > 0 {
		rows = append(rows, [2]string{"files it may open", Count(int64(min(e.MaxFiles, 1<<62)))})
	}
	return rows
}

// PlanRows writes the plan for people: its members by name, those of members after a dot ("publish.rate"), lists joined, what is empty left out.
func (l *Load) PlanRows() [][2]string { return planRows(nil, "", l.Plan) }

func planRows(rows [][2]string, prefix string, v any) [][2]string {
	switch v := v.(type) {
	case map[string]any:
		if prefix != "" {
			prefix += "."
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			rows = planRows(rows, prefix+name, v[name])
		}
		return rows
	case []any:
		if len(v) == 1 {
			return planRows(rows, prefix, v[0])
		}
		var plain []string
		for i, e := range v {
			switch e.(type) {
			case map[string]any, []any:
				rows = planRows(rows, prefix+"."+strconv.Itoa(i+1), e)
			default:
				plain = append(plain, fmt.Sprint(e))
			}
		}
		if len(plain) > 0 {
			rows = append(rows, [2]string{prefix, strings.Join(plain, ", ")})
		}
		return rows
	case nil:
		return rows
	case string:
		if v == "" {
			return rows
		}
	case float64: // as JSON has all numbers
		return append(rows, [2]string{prefix, strconv.FormatFloat(v, 'f', -1, 64)})
	}
	return append(rows, [2]string{prefix, fmt.Sprint(v)})
}
