package html_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"

	report "ssegauge/reports/html"
)

func render(t *testing.T, runs ...*result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Render(&b, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pages are every run on its own, and what `demo` writes: a check and two loads.
func pages(t *testing.T) map[string]string {
	p := map[string]string{}
	for _, r := range reporttest.Runs() {
		p[r.Name] = render(t, r.Run)
	}
	first := reporttest.Load()
	first.Target.HTTP, first.Streams.Connections = "1.1", 2000
	first.LatencyUS["deliver"], first.LatencyUS["open"] = reporttest.Samples(31, 200_000, 2600, 0.4), reporttest.Samples(32, 2000, 240, 0.3)
	p["demo"] = render(t, reporttest.Clean(), first, reporttest.Load())
	p["several"] = render(t, reporttest.Several()...)
	p["searches"] = render(t, reporttest.Limits(), reporttest.LimitsQuiet(), reporttest.LimitsInterrupted())
	p["all"] = render(t, reporttest.Clean(), reporttest.Failing(), reporttest.Interrupted(), reporttest.Load(), reporttest.LoadFew(), reporttest.LoadFailing())
	return p
}

func TestGolden(t *testing.T) {
	for name, got := range pages(t) {
		reporttest.Golden(t, name+".html", []byte(got))
	}
}

var void = map[atom.Atom]bool{atom.Meta: true, atom.Link: true, atom.Br: true, atom.Input: true}

// Every element is closed in its order, ids are unique, links lead somewhere, and nothing is fetched or run.
func TestWellFormed(t *testing.T) {
	for name, page := range pages(t) {
		t.Run(name, func(t *testing.T) {
			var stack []string
			ids, targets := map[string]int{}, []string{}
			var style, policy string
			z := html.NewTokenizer(strings.NewReader(page))
			for {
				kind := z.Next()
				if kind == html.ErrorToken {
					if z.Err() != io.EOF {
						t.Fatal(z.Err())
					}
					break
				}
				tok := z.Token()
				switch kind {
				case html.TextToken:
					if len(stack) > 0 && stack[len(stack)-1] == "style" {
						style += tok.Data
					}
				case html.CommentToken:
					t.Errorf("comment %q", tok.Data)
				case html.EndTagToken:
					if len(stack) == 0 || stack[len(stack)-1] != tok.Data {
						t.Fatalf("</%s> closes %v", tok.Data, stack)
					}
					stack = stack[:len(stack)-1]
				case html.StartTagToken, html.SelfClosingTagToken:
					switch tok.Data {
					case "script", "img", "iframe", "object", "embed", "form", "base", "image", "use", "foreignobject", "audio", "video":
						t.Errorf("element %s", tok)
					}
					for _, a := range tok.Attr {
						switch {
						case a.Key == "id":
							ids[a.Val]++
						case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
							targets = append(targets, a.Val[1:])
						case a.Key == "href" && a.Val == "data:,":
						case a.Key == "href", a.Key == "src", a.Key == "srcset", a.Key == "xlink:href", a.Key == "style", a.Key == "background", strings.HasPrefix(a.Key, "on"):
							t.Errorf("attribute %s=%q of %s", a.Key, a.Val, tok.Data)
						case a.Key == "aria-labelledby":
							targets = append(targets, strings.Fields(a.Val)...)
						case a.Key == "content" && strings.Contains(a.Val, "default-src"):
							policy = a.Val
						case a.Key == "d" && !regexp.MustCompile(`^[MLHVhvaZ0-9 .-]*$`).MatchString(a.Val):
							t.Errorf("path %q", a.Val)
						}
					}
					if kind == html.StartTagToken && !void[tok.DataAtom] {
						stack = append(stack, tok.Data)
					}
				}
			}
			if len(stack) > 0 {
				t.Errorf("left open: %v", stack)
			}
			for id, n := range ids {
				if n > 1 {
					t.Errorf("id %s stands %d times", id, n)
				}
			}
			for _, target := range targets {
				if ids[target] == 0 {
					t.Errorf("nothing has the id %s", target)
				}
			}
			sum := sha256.Sum256([]byte(style))
			want := fmt.Sprintf("default-src 'none'; img-src data:; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", base64.StdEncoding.EncodeToString(sum[:]))
			if policy != want {
				t.Errorf("policy %s\nwant   %s", policy, want)
			}
			for _, remote := range []string{"url(", "@import", "src=", "http-equiv=\"refresh"} {
				if strings.Contains(page, remote) {
					t.Errorf("%s in the page", remote)
				}
			}
			for _, c := range page {
				if c != '\n' && !unicode.IsPrint(c) || c == '\ufffd' {
					t.Errorf("rune %q in the page", c)
				}
			}
		})
	}
}

// What a target says comes out as text that reads as what it said.
func TestHostile(t *testing.T) {
	want := result.Escape(reporttest.Hostile)
	for _, page := range []string{render(t, reporttest.Failing()), render(t, reporttest.LoadFailing()), render(t, reporttest.LimitsQuiet()), render(t, reporttest.Failing(), reporttest.Failing())} {
		doc, err := html.Parse(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for n := range doc.Descendants() {
			if n.Type == html.TextNode {
				text.WriteString(n.Data)
			}
		}
		if n := strings.Count(text.String(), want); n < 2 {
			t.Errorf("the hostile text reads right %d times", n)
		}
	}
	// A hostile name anywhere else: titles, ids, levels, series, metrics, verdicts, plan.
	h := reporttest.Hostile
	check := reporttest.Clean()
	check.Target, check.Tool = result.Target{URL: h, HTTP: h}, result.Tool{Version: h}
	check.Results = []result.Finding{
		{ID: h, Title: h, Level: result.Level(h), Clause: h, Verdict: result.Verdict(h), Message: h},
		{ID: h, Title: h, Verdict: result.NotObserved, DecidedBy: h, Message: h},
		{ID: h, Verdict: result.Fail, Reproduce: h, Evidence: []result.Evidence{{Connection: h, Text: h, Hex: h, Mark: &[2]int{5, 9}}, {Text: h, Mark: &[2]int{9, 5}}}},
	}
	load := reporttest.Load()
	load.Target = check.Target
	load.Validity = result.Validity{Verdict: h, Reasons: []string{h}}
	load.Plan = map[string]any{h: map[string]any{h: h}}
	load.LatencyUS[h] = load.LatencyUS["open"]
	load.Series = append(load.Series, result.Series{Name: h, StepMS: -4, Values: result.Points{1e300, -5, 3}})
	load.Gates = []result.Gate{{Expression: h, Unit: h, Reason: h, Value: new(-1e300)}}
	load.Environment.OS, load.Environment.Kernel = h, h
	page := render(t, check, check, load, load, reporttest.HostileLimits(), reporttest.HostileLimits())
	if strings.Contains(page, "<script") || strings.ContainsAny(page, "\x00\x1b\u202e\ufffd") {
		t.Error("hostile text came through")
	}
	if _, err := html.Parse(strings.NewReader(page)); err != nil {
		t.Error(err)
	}
}

// Every cell of the matrix opens what was seen in its run, with the bytes at fault marked; rows without a finding can be hidden.
func TestMatrix(t *testing.T) {
	left, right := reporttest.Clean(), reporttest.Failing()
	right.Results = right.Results[1:] // without http/status
	doc, err := html.Parse(strings.NewReader(render(t, left, right)))
	if err != nil {
		t.Fatal(err)
	}
	text := func(n *html.Node) string {
		var b strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				b.WriteString(d.Data)
			}
		}
		return b.String()
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	elements := func(n *html.Node, kind atom.Atom) (out []*html.Node) {
		for d := range n.Descendants() {
			if d.DataAtom == kind {
				out = append(out, d)
			}
		}
		return out
	}
	var matrix *html.Node
	for _, n := range elements(doc, atom.Table) {
		if attr(n, "class") == "matrix" {
			matrix = n
		}
	}
	if matrix == nil {
		t.Fatal("no matrix")
	}
	rows := map[string]*html.Node{}
	for _, tr := range elements(matrix, atom.Tr) {
		if th := elements(tr, atom.Th); len(th) == 1 {
			rows[text(th[0])] = tr
		}
	}
	cells := 0
	for _, r := range []*result.Run{left, right} {
		cells += len(r.Results)
		for _, f := range r.Results {
			if rows[f.ID] == nil {
				t.Errorf("no row %s", f.ID)
			}
		}
	}
	if n := len(elements(matrix, atom.Details)); n != cells || rows["http"] == nil || rows["encoding"] == nil {
		t.Errorf("%d cells open, want %d; rows %v", n, cells, rows)
	}
	for id, fine := range map[string]string{"http/status": "fine", "encoding/utf8": "", "h2/connection-headers": "fine", "resume/replay": "fine"} {
		if got := attr(rows[id], "class"); got != fine {
			t.Errorf("%s has the class %q", id, got)
		}
	}
	utf := elements(rows["encoding/utf8"], atom.Td)
	if marks := elements(utf[1], atom.Mark); len(marks) != 1 || text(marks[0]) != `\xe9` || !strings.Contains(text(utf[1]), "byte 1,044") {
		t.Errorf("the cell opens %s", text(utf[1]))
	}
	if got := text(utf[0]); !strings.Contains(got, "12 events, 1,482 bytes") || strings.Contains(got, "would decide") {
		t.Errorf("the cell opens %s", got)
	}
	if td := elements(rows["resume/replay"], atom.Td); !strings.Contains(text(td[0]), "--publish would decide it") || text(td[1]) != "" {
		t.Errorf("not observed: %s", text(rows["resume/replay"]))
	}
	if got := text(elements(rows["http/status"], atom.Td)[1]); got != "" {
		t.Errorf("a cell of no check: %s", got)
	}
}

// A run of a day is a page of bounded size: no more points than can be seen, of no more charts than one reads.
func TestLong(t *testing.T) {
	r := reporttest.Load()
	short := len(render(t, r))
	for i := range r.Series {
		long := make(result.Points, 86_400)
		for j := range long {
			long[j] = float64(1000 + j%977)
		}
		r.Series[i].Values = long
	}
	page := render(t, r)
	if len(page) > short+100_000 {
		t.Errorf("%d bytes, of a short run %d", len(page), short)
	}
	if !strings.Contains(page, "each point the largest of 4m48s") {
		t.Error("nothing says what a point is")
	}
}

// Beyond what the events of a run resolve a curve is dotted, what never came leaves the chart, and intervals stand at their quantiles.
func TestCurve(t *testing.T) {
	page := func(change func(q *result.Quantiles)) string {
		r := reporttest.LoadFew()
		q := reporttest.Steps(1000)
		change(q)
		r.LatencyUS = map[string]*result.Quantiles{"deliver": q}
		r.Generator.DelayUS = nil
		return render(t, r)
	}
	for _, tc := range []struct {
		name   string
		change func(q *result.Quantiles)
		want   map[string]int // how often a class stands in the page, by chart
	}{
		{"plain", func(*result.Quantiles) {}, map[string]int{"ring": 2, "beyond": 0, "interval": 0}},
		{"events", func(q *result.Quantiles) { q.Events = 100 }, map[string]int{"ring": 2, "beyond": 2, "interval": 0}},
		{"interval", func(q *result.Quantiles) { q.CI95 = map[string]result.Interval{"p50": {Low: new(4e5), High: new(6e5)}} }, map[string]int{"ring": 2, "beyond": 0, "interval": 2}},
	} {
		got := page(tc.change)
		for class, n := range tc.want {
			if k := strings.Count(got, `<path class="`+class+`"`); k != n {
				t.Errorf("%s: %d of class %s, want %d", tc.name, k, class, n)
			}
		}
	}
	top := regexp.MustCompile(`<path class="line" d="M[^"]*V46\.0M`) // up to below the legend, and an arrow
	if top.MatchString(page(func(*result.Quantiles) {})) || !top.MatchString(page(func(q *result.Quantiles) { q.Never = 100 })) {
		t.Error("what never came does not leave the chart")
	}
}

// Runs as a stranger may have stored them: no panic, no figure that is none.
func TestBareRuns(t *testing.T) {
	evidence := result.Evidence{Length: -1, Offset: -5, Text: "x", Mark: &[2]int{3, 99}}
	nan := result.Points{}
	page := render(t,
		&result.Run{Check: &result.Check{}},
		&result.Run{Check: &result.Check{Results: []result.Finding{{Verdict: result.Fail, Evidence: []result.Evidence{evidence}}}}},
		&result.Run{Load: &result.Load{}},
		&result.Run{Load: &result.Load{
			LatencyUS: map[string]*result.Quantiles{"open": nil, "deliver": {Count: 5}, "fanout_t99": {Count: 3, Min: new(0.0), P50: new(0.0), Max: new(0.0)}},
			Series:    []result.Series{{Name: "a"}, {Name: "b", Values: nan}, {Name: "c", Values: result.Points{0}}, {Name: "d", StepMS: 1, Values: make(result.Points, 5000)}},
		}},
		&result.Run{Limits: &result.Limits{}},
		&result.Run{Limits: &result.Limits{
			Limits: []result.Limit{{}, {Verdict: result.LimitFound}, {Verdict: result.LimitNone, Low: new(1e300)}},
			Curve: []result.Rung{
				{}, {Streams: -4, OpenP99US: new(-1.0), DeliverP50US: new(0.0), DeliverP99US: new(1e300), EventsPerSecond: -1}, {Streams: 1 << 62, OpenP99US: new(1e-300), DeliverP50US: new(1e17), EventsPerSecond: 1e300},
			},
			Knee: &result.Knee{Lambda: 1e300, Sigma: -1, Kappa: 1e300, Peak: new(1e300), CI95: [2]float64{-1e300, 1e300}},
		}},
		&result.Run{Limits: &result.Limits{Curve: []result.Rung{{Streams: 3, EventsPerSecond: 5}}, Knee: &result.Knee{Lambda: 1, Peak: new(3.0)}}},
	)
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s in the page", bad)
		}
	}
	if err := report.Render(io.Discard); err == nil {
		t.Error("a page of no run")
	}
	if err := report.Render(io.Discard, &result.Run{}); err == nil {
		t.Error("a page of a run without an outcome")
	}
}

// Runs at one target are told apart by what differs, and by number only where nothing does.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		change func(r *result.Run)
		want   []string
	}{
		{func(r *result.Run) { r.Streams.Planned = 7 }, []string{"HTTP/2 (cleartext), 2,000 streams<", "HTTP/2 (cleartext), 7 streams<"}},
		{func(r *result.Run) { r.Started = r.Started.Add(time.Minute) }, []string{"HTTP/2 (cleartext), 09:30:00<", "HTTP/2 (cleartext), 09:31:00<"}},
		{func(r *result.Run) { r.Started = r.Started.Add(24 * time.Hour) }, []string{"HTTP/2 (cleartext), 16 March 09:30:00<", "HTTP/2 (cleartext), 17 March 09:30:00<"}},
		{func(*result.Run) {}, []string{"HTTP/2 (cleartext)<", "HTTP/2 (cleartext) (2)<"}},
	} {
		a, b := reporttest.Load(), reporttest.Load()
		c.change(b)
		page := render(t, a, b)
		for _, want := range c.want {
			if !strings.Contains(page, "Load over "+want) {
				t.Errorf("no %q", want)
			}
		}
	}
}

// The law of a knee is drawn through what it was fitted to, not through stages in which no more is delivered than is published.
func TestKneeLevels(t *testing.T) {
	r := reporttest.Limits()
	r.Knee.Levels = []result.Rung{{Streams: 10, Opened: 10, EventsPerSecond: 1234, Holds: true}, {Streams: 20, Opened: 20, EventsPerSecond: 2345, Holds: true}}
	if !strings.Contains(render(t, r), "2,345 with 20 streams") {
		t.Error("the levels of the knee are not in the chart")
	}
}
