package text_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
	"ssegauge/reports/text"
)

func render(t *testing.T, r *result.Run, o text.Options) string {
	t.Helper()
	return renderAll(t, o, r)
}

func renderAll(t *testing.T, o text.Options, all ...*result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := text.Render(&b, o, all...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		t.Run(r.Name, func(t *testing.T) {
			got := render(t, r.Run, text.Options{})
			reporttest.Golden(t, r.Name+".txt", []byte(got))
			for _, c := range got {
				if c != '\n' && !unicode.IsPrint(c) {
					t.Errorf("rune %q reaches the terminal", c)
				}
			}
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if w := twwidth.Width(line); w > 80 && !strings.HasPrefix(strings.TrimSpace(line), "run: ") {
					t.Errorf("%d columns: %s", w, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("spaces at the end of %q", line)
				}
			}
		})
	}
}

// Several runs come one after the other, and then what they come to, within the width.
func TestSeveral(t *testing.T) {
	reporttest.Golden(t, "several.txt", []byte(renderAll(t, text.Options{}, reporttest.Several()...)))
	reporttest.Golden(t, "loads.txt", []byte(renderAll(t, text.Options{}, reporttest.Load(), reporttest.LoadFailing())))
	reporttest.Golden(t, "searches.txt", []byte(renderAll(t, text.Options{}, reporttest.Limits(), reporttest.LimitsQuiet(), reporttest.LimitsUndecided())))
	reporttest.Golden(t, "mixed.txt", []byte(renderAll(t, text.Options{}, reporttest.Clean(), reporttest.LoadFew())))
	many := make([]*result.Run, 9)
	for i := range many {
		many[i] = reporttest.Clean()
		many[i].Target.URL = "https://" + strings.Repeat("a-long-name.", 9) + "example/events"
		if i%2 == 0 {
			many[i].Results[0].Verdict = result.Warn
		}
	}
	for _, o := range []text.Options{{Width: 60}, {Width: 80}, {Width: 120}} {
		got := renderAll(t, o, many...)
		_, end, _ := strings.Cut(got, "target")
		for line := range strings.Lines(end) {
			if w := twwidth.Width(strings.TrimSuffix(line, "\n")); w > o.Width {
				t.Errorf("%d columns of %d: %s", w, o.Width, line)
			}
		}
		if !strings.Contains(got, "and 3 runs more") || !strings.Contains(got, "9 runs: 9 passed.") {
			t.Errorf("at %d columns:\n%s", o.Width, end)
		}
	}
}

// The picture keeps to the width, whatever the figures are; the rows stand from few streams to many, and the knee where it lies.
func TestPicture(t *testing.T) {
	for _, scale := range []float64{1e-9, 1, 37, 1e4, 1e8, 1e300} {
		for _, width := range []int{60, 80, 132} {
			r := reporttest.Limits()
			for i := range r.Curve {
				c := &r.Curve[i]
				if c.DeliverP50US != nil {
					c.DeliverP50US, c.DeliverP99US = new(*c.DeliverP50US*scale), new(*c.DeliverP99US*scale)
				}
			}
			got := render(t, r, text.Options{Width: width})
			for line := range strings.Lines(got) {
				if w := twwidth.Width(strings.TrimSuffix(line, "\n")); w > width {
					t.Errorf("%d columns of %d: %s", w, width, line)
				}
			}
			_, picture, _ := strings.Cut(got, "Latency against streams")
			if n := strings.Count(picture, "●"); n != 1+8 || strings.Count(picture, "✕") != 2 {
				t.Errorf("%d marks of p99:\n%s", n, picture)
			}
			before, after := strings.Index(picture, "\n  1,000"), strings.Index(picture, "\n  1,500")
			if knee := strings.Index(picture, "knee: about 1,429 streams"); before < 0 || knee < before || after < knee {
				t.Errorf("the knee stands at %d, not between %d and %d:\n%s", knee, before, after, picture)
			}
		}
	}
	for _, c := range []struct {
		p50, p99, open bool
		want           string
	}{
		{true, true, true, "○ p50 and ● p99 of delivery, ◆ p99 of opening"},
		{true, false, false, "○ p50 of delivery (too few events for p99)"},
		{false, true, false, "● p99 of delivery"},
		{false, false, true, "◆ p99 of opening; nothing was published"},
		{false, false, false, "too few streams and events to tell"},
	} {
		r := reporttest.Limits()
		for i := range r.Curve {
			r.Curve[i].Validity = result.Suspect
			if !c.p50 {
				r.Curve[i].DeliverP50US = nil
			}
			if !c.p99 {
				r.Curve[i].DeliverP99US = nil
			}
			if !c.open {
				r.Curve[i].OpenP99US = nil
			}
		}
		got := strings.Join(strings.Fields(render(t, r, text.Options{})), " ")
		if !strings.Contains(got, c.want) || !strings.Contains(got, "all measurements are suspect") || strings.Contains(got, "lost, suspect") {
			t.Errorf("no %q in %s", c.want, got)
		}
	}
	r := reporttest.Limits()
	r.Knee.Peak = nil
	if got := render(t, r, text.Options{}); !strings.Contains(got, "knee: none within twice the 3,375 streams that were measured") {
		t.Error(got)
	}
}

// Colour adds escapes and nothing else, and only those of its own.
func TestColor(t *testing.T) {
	for _, r := range reporttest.Runs() {
		plain, colored := render(t, r.Run, text.Options{Width: 100}), render(t, r.Run, text.Options{Width: 100, Color: true})
		if plain == colored {
			t.Errorf("%s: no colour", r.Name)
		}
		for _, s := range []string{"0", "1", "2", "1;31", "32", "33", "35"} {
			colored = strings.ReplaceAll(colored, "\x1b["+s+"m", "")
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		if squeeze(colored) != squeeze(plain) {
			t.Errorf("%s: with colours removed\n%s\nwithout colour\n%s", r.Name, colored, plain)
		}
	}
}

// The carets stand below the bytes at fault, however wide the text before them is.
func TestCaret(t *testing.T) {
	for _, tc := range []struct {
		bytes    string
		from, to int
		width    int
		want     string // the marked part of the line above the carets
	}{
		{"data: a\nb\n\n", 8, 9, 0, "b"},
		{"data: \u65e5\u672c\n\xff\n", 13, 14, 0, `\xff`},
		{strings.Repeat("x", 200) + "\x00" + strings.Repeat("y", 200), 200, 201, 60, `\x00`},
		{strings.Repeat("\n", 40) + "BAD" + strings.Repeat("\t", 40), 40, 43, 60, `BAD`},
		{"data: cut off", 13, 13, 0, ""},
	} {
		e := result.NewEvidence([]byte(tc.bytes), tc.from, tc.to)
		r := reporttest.Clean()
		r.Results = []result.Finding{{ID: "x/y", Verdict: result.Fail, Evidence: []result.Evidence{e}}}
		lines := strings.Split(render(t, r, text.Options{Width: tc.width}), "\n")
		found := false
		for i, l := range lines {
			if !strings.HasPrefix(strings.TrimSpace(l), "^") {
				continue
			}
			found = true
			above := lines[i-1]
			start, end := strings.Index(l, "^"), len(l)
			got, col := "", 0
			for _, c := range above {
				if col >= start && col < end {
					got += string(c)
				}
				col += twwidth.Width(string(c))
			}
			if got != tc.want {
				t.Errorf("%q: marked %q, want %q in\n%s\n%s", tc.bytes, got, tc.want, above, l)
			}
		}
		if !found {
			t.Errorf("%q: nothing marked", tc.bytes)
		}
	}
}

// A run as a stranger may have written it into a file: nothing panics.
func TestBareRuns(t *testing.T) {
	evidence := result.Evidence{Length: -1, Offset: -5, Text: "\x1b[31m", Mark: &[2]int{3, 99}}
	for _, r := range []*result.Run{
		{Check: &result.Check{}},
		{Check: &result.Check{Results: []result.Finding{{Verdict: result.Fail, Evidence: []result.Evidence{evidence}}}}},
		{Load: &result.Load{}},
		{Load: &result.Load{LatencyUS: map[string]*result.Quantiles{"x": nil}}},
		{Limits: &result.Limits{}},
		{Limits: &result.Limits{Limits: []result.Limit{{}, {Verdict: "\x1b[1m", Unit: "\x1b"}, {Verdict: result.LimitFound}}, Curve: make([]result.Rung, 2), Knee: &result.Knee{}}},
		{Limits: &result.Limits{Curve: []result.Rung{{DeliverP50US: new(1e300), DeliverP99US: new(-1e300)}, {DeliverP50US: new(0.0)}, {DeliverP99US: new(math.Inf(1))}}}},
	} {
		if s := render(t, r, text.Options{Width: 1}); strings.Contains(s, "\x1b") {
			t.Errorf("escape in %q", s)
		}
	}
	if err := text.Render(new(bytes.Buffer), text.Options{}, &result.Run{}); err == nil {
		t.Error("a run without an outcome was rendered")
	}
}

// A target that is no stream leaves a hundred checks undecided for one reason: they are counted by group. What an INFO says stands in full. Nothing is wider than asked for.
func TestManyUndecided(t *testing.T) {
	r := reporttest.Clean()
	r.Results = []result.Finding{{ID: "retry/early", Level: result.Advice, Verdict: result.Info, Message: strings.Repeat("word ", 30) + "end."}}
	for i := range 40 {
		group := []string{"http", "data"}[i%2]
		r.Results = append(r.Results, result.Finding{ID: group + "/" + strings.Repeat("x", 1+i), Verdict: result.NotObserved, Message: "the answer was 404"},
			result.Finding{ID: "h2/" + strings.Repeat("y", 1+i%20), Verdict: result.NotApplicable})
	}
	got := render(t, r, text.Options{})
	for _, want := range []string{"the answer was 404: 40 checks (http 20, data 20)", "end."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if w := twwidth.Width(strings.TrimSuffix(line, "\n")); w > 80 {
			t.Errorf("%d columns: %s", w, line)
		}
	}
}
