package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ssegauge/reference/wire"
)

// Bounds on one reading of a gauge.
const (
	gaugeBudget = 3 * time.Second
	maxGauge    = 4 << 20 // bytes
)

// GaugeSource is where the target tells how many streams it holds: in a JSON document at a pointer (RFC 6901), or in a Prometheus or OpenMetrics page by
// the name of a metric. The target of a gauge is another program's monitoring: none of the target's own fields are sent there.
type GaugeSource struct {
	URL     *url.URL
	Header  wire.Header
	Pointer string // "/streams/open"
	Metric  string // "sse_streams", or one of its series: `sse_streams{path="/events"}`; the series are added up where no labels are given
}

// read finds the number in a body.
func (g *GaugeSource) read(body []byte) (float64, error) {
	if g.Metric != "" {
		return metric(body, g.Metric)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return 0, fmt.Errorf("not JSON: %w", err)
	}
	return at(doc, g.Pointer)
}

// at follows a JSON pointer to a number.
func at(doc any, pointer string) (float64, error) {
	if pointer != "" && pointer[0] != '/' {
		return 0, fmt.Errorf("%q is no JSON pointer: it begins with /", pointer)
	}
	if pointer != "" {
		for token := range strings.SplitSeq(pointer[1:], "/") {
			token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
			switch v := doc.(type) {
			case map[string]any:
				member, ok := v[token]
				if !ok {
					return 0, fmt.Errorf("nothing stands at %s: there is no %q", pointer, token)
				}
				doc = member
			case []any:
				i, err := strconv.Atoi(token)
				if err != nil || i < 0 || i >= len(v) {
					return 0, fmt.Errorf("nothing stands at %s: the list has no element %q", pointer, token)
				}
				doc = v[i]
			default:
				return 0, fmt.Errorf("nothing stands at %s: %q is asked of a plain value", pointer, token)
			}
		}
	}
	n, ok := doc.(json.Number)
	if !ok {
		return 0, fmt.Errorf("what stands at %q is no number", pointer)
	}
	return number(n.String())
}

// metric adds up the series of a metric in the text format of Prometheus.
func metric(body []byte, want string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.SplitSeq(string(body), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		series, value, ok := split(line)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(series, "{")
		if name != want && labels(series) != labels(want) {
			continue
		}
		v, err := number(value)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", want, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", want)
	}
	return sum, nil
}

// split parts a line into the series (name and labels, where quoted text may hold anything) and the value; a time stamp after it is left out.
func split(line string) (series, value string, ok bool) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '}' || c == ' ' && !strings.Contains(line[:i], "{"):
			fields := strings.Fields(line[i+1:])
			if len(fields) == 0 {
				return "", "", false
			}
			return strings.TrimSpace(line[:i+1]), fields[0], true
		}
	}
	return "", "", false
}

// labels writes a series with its labels in one order.
func labels(series string) string {
	name, rest, ok := strings.Cut(series, "{")
	if !ok {
		return series
	}
	var parts []string
	quoted, from := false, 0
	rest = strings.TrimSuffix(strings.TrimSpace(rest), "}")
	for i := 0; i <= len(rest); i++ {
		switch {
		case i == len(rest) || rest[i] == ',' && !quoted:
			if part := strings.TrimSpace(rest[from:i]); part != "" {
				parts = append(parts, part)
			}
			from = i + 1
		case quoted && rest[i] == '\\':
			i++
		case rest[i] == '"':
			quoted = !quoted
		}
	}
	slices.Sort(parts)
	return name + "{" + strings.Join(parts, ",") + "}"
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, fmt.Errorf("%q is no number", s)
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%s is not a count", s)
	}
	return v, nil
}
