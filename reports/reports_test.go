package reports_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"ssegauge/reports"
	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// Every format renders every run without a character that a terminal or a reader could be fooled by, refuses a run without an outcome, and
// reports the writer's error.
func TestFormats(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range reports.Formats() {
		if seen[f.Name] || f.Title == "" {
			t.Errorf("format %q", f.Name)
		}
		seen[f.Name] = true
		if got, ok := reports.Lookup(f.Name); !ok || got.Name != f.Name {
			t.Errorf("%s is not found", f.Name)
		}
		for _, r := range reporttest.Runs() {
			var b bytes.Buffer
			if err := f.Render(&b, r.Run); err != nil {
				t.Errorf("%s of %s: %v", f.Name, r.Name, err)
			}
			for _, c := range b.String() {
				if c != '\n' && !unicode.IsPrint(c) || c == '\ufffd' {
					t.Errorf("%s of %s: rune %q", f.Name, r.Name, c)
				}
			}
			// Text, HTML and JSON have their golden files beside them.
			if f.Name == "markdown" || f.Name == "csv" || f.Name == "ndjson" {
				reporttest.Golden(t, r.Name+"."+f.Name, b.Bytes())
			}
			if err := f.Render(full{}, r.Run); !errors.Is(err, errFull) {
				t.Errorf("%s: error of the writer: %v", f.Name, err)
			}
		}
		for _, r := range []*result.Run{
			{Schema: result.SchemaCheck, Check: &result.Check{}},
			{Schema: result.SchemaLoad, Load: &result.Load{LatencyUS: map[string]*result.Quantiles{"open": nil}}},
			{Schema: result.SchemaLimits, Limits: &result.Limits{}},
		} {
			if err := f.Render(new(bytes.Buffer), r); err != nil {
				t.Errorf("%s of an empty run: %v", f.Name, err)
			}
		}
		if f.Name != "json" && f.Render(new(bytes.Buffer), &result.Run{}) == nil {
			t.Errorf("%s of no outcome", f.Name)
		}
	}
	if _, ok := reports.Lookup("pdf"); ok {
		t.Error("a format that there is not")
	}
}

// Every format holds several runs, each named, and what a target says does no more harm than in a run of its own.
func TestSeveral(t *testing.T) {
	for _, f := range reports.Formats() {
		var b bytes.Buffer
		if err := f.Render(&b, reporttest.Several()...); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		for _, want := range []string{"http://127.0.0.1:8080/events", "***@127.0.0.1:8080/events?token=***", "127.0.0.1:8082/events", "connection refused"} {
			page := strings.NewReplacer("&#58;", ":", `\`, "", "%2A", "*", "&#39;", "'", "%3A", ":").Replace(b.String())
			switch {
			case f.Name == "csv" && strings.Contains(want, "8082") || f.Name == "csv" && want == "connection refused":
				continue // no row: nothing was judged
			case f.Name == "sarif" && !strings.Contains(want, "refused"):
				want = strings.TrimPrefix(strings.TrimPrefix(want, "http://"), "***@") // origins stand apart
			}
			if !strings.Contains(page, want) && !strings.Contains(strings.ReplaceAll(page, "\n", ""), want) {
				t.Errorf("%s does not say %q:\n%s", f.Name, want, page)
			}
		}
		for _, c := range b.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%s: rune %q", f.Name, c)
			}
		}
		if f.Name == "markdown" || f.Name == "csv" || f.Name == "github" {
			reporttest.Golden(t, "several."+f.Name, b.Bytes())
		}
	}
	f, _ := reports.Lookup("csv")
	for _, other := range []*result.Run{reporttest.Load(), reporttest.Limits()} {
		if f.Render(new(bytes.Buffer), reporttest.Clean(), other) == nil || f.Render(new(bytes.Buffer), other, reporttest.Clean()) == nil {
			t.Error("runs of two commands in one table")
		}
	}
	if f.Render(new(bytes.Buffer), reporttest.Load(), reporttest.Limits()) == nil {
		t.Error("load runs and searches in one table")
	}
}

// Searches for limits stand side by side in every format.
func TestSearches(t *testing.T) {
	for _, f := range reports.Formats() {
		var b bytes.Buffer
		if err := f.Render(&b, reporttest.Limits(), reporttest.LimitsQuiet(), reporttest.LimitsUndecided()); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		for _, target := range []string{"sse.example.test", "127.0.0.1:8080"} {
			if !strings.Contains(b.String(), target) {
				t.Errorf("%s does not name %s", f.Name, target)
			}
		}
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func render(t *testing.T, format string, r *result.Run) string {
	t.Helper()
	f, _ := reports.Lookup(format)
	var b bytes.Buffer
	if err := f.Render(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// No output of any format shows a credential that whoever filled the run forgot to mask.
func TestCredentials(t *testing.T) {
	check, load, limits := reporttest.Failing(), reporttest.LoadFew(), reporttest.Limits()
	check.Target.URL, load.Target.URL = "http://user:s3cret@h/?a=1&token=s3cret", "http://s3cret@h/"
	limits.Thresholds = []result.Gate{{Expression: "a/b > 1", Reason: "undecided; asked http://user:s3cret@h/"}}
	limits.Expect = append(limits.Expect, "Ask http://user:s3cret@h/.")
	for i := range limits.Limits.Limits {
		l := &limits.Limits.Limits[i]
		l.Title, l.Evidence = l.Title+" of http://h/?token=s3cret", "answered by http://user:s3cret@h/"
	}
	check.Results[4].Reproduce = "curl 'http://user:s3cret@h/?api_key=s3cret'"
	load.Plan = map[string]any{
		"publish":        "POST http://h/publish?sig=s3cret",
		"header":         []string{"Authorization: Bearer s3cret", "X-Api-Key: s3cret", "Accept: text/plain"},
		"publish_header": []any{"Cookie: a=s3cret"},
		"fields":         map[string]string{"Proxy-Authorization": "s3cret", "X-Note": "kept"},
		"token":          "s3cret",
		"nested":         map[string]any{"password": "s3cret", "rate": 5},
	}
	for _, f := range reports.Formats() {
		for _, r := range []*result.Run{check, load, limits} {
			if out := render(t, f.Name, r); strings.Contains(out, "s3cret") {
				at := strings.Index(out, "s3cret")
				t.Errorf("%s shows a credential: %s", f.Name, out[max(0, at-60):at+6])
			}
		}
	}
	if out := render(t, "json", load); !strings.Contains(out, "kept") || !strings.Contains(out, "Accept: text/plain") || !strings.Contains(out, "Bearer ***") {
		t.Errorf("masked too much: %s", out)
	}
	if load.Plan["token"] != "s3cret" {
		t.Error("the run was changed")
	}
}

func TestCSV(t *testing.T) {
	for _, r := range reporttest.Runs() {
		if r.Run.Check != nil {
			r.Run.Results[0].Message = "=HYPERLINK(1)" // no formula
		}
		table := csv.NewReader(strings.NewReader(render(t, "csv", r.Run)))
		rows, err := table.ReadAll() // of one width, or it is an error
		if err != nil || len(rows) < 2 {
			t.Fatalf("%s: %d rows, %v", r.Name, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				_, err := strconv.ParseFloat(cell, 64)
				if strings.ContainsAny(cell[:min(1, len(cell))], "=+@-") && !strings.HasPrefix(cell, "--") && err != nil {
					t.Errorf("%s: a spreadsheet would run %q", r.Name, cell)
				}
			}
		}
	}
}

// Whatever text a load run or a search holds, in whatever member, it does no harm in any format: it is shown as it reads, on one line, and nothing obeys it.
func TestHostile(t *testing.T) {
	for _, r := range []*result.Run{reporttest.AllHostile(), reporttest.HostileLimits()} {
		harmless(t, r)
	}
}

func harmless(t *testing.T, r *result.Run) {
	shown := result.Escape(reporttest.Hostile)
	for _, f := range reports.Formats() {
		out := render(t, f.Name, r)
		for _, c := range out {
			if c != '\n' && !unicode.IsPrint(c) || c == '\ufffd' {
				t.Fatalf("%s: rune %q", f.Name, c)
			}
		}
		switch f.Name {
		case "html":
			if strings.Contains(out, "<script") || strings.Contains(out, "ZgotmplZ") {
				t.Error("html: a script")
			}
		case "csv":
			rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Error(err)
			}
			for _, row := range rows {
				for _, cell := range row {
					if cell != "" && strings.ContainsAny(cell[:1], "=+@\t") {
						t.Errorf("a spreadsheet would run %q", cell)
					}
				}
			}
			if !strings.Contains(out, strings.ReplaceAll(shown, `"`, `""`)) {
				t.Error("csv: not shown as it reads")
			}
		case "markdown":
			for l := range strings.Lines(out) {
				if strings.Contains(strings.ReplaceAll(l, `\<`, ""), "<") {
					t.Errorf("markdown: %s", l)
				}
			}
		case "ndjson":
			for l := range strings.Lines(out) {
				if !json.Valid([]byte(l)) {
					t.Errorf("ndjson: %s", l)
				}
			}
		}
	}
}

func TestNDJSON(t *testing.T) {
	for _, r := range reporttest.Runs() {
		var types []string
		for l := range strings.Lines(render(t, "ndjson", r.Run)) {
			var v struct {
				Type string `json:"type"`
			}
			if err := json.Unmarshal([]byte(l), &v); err != nil || v.Type == "" {
				t.Errorf("%s: %q: %v", r.Name, l, err)
			}
			types = append(types, v.Type)
		}
		if types[0] != "run" || types[len(types)-1] != "end" {
			t.Errorf("%s: %v", r.Name, types)
		}
		if r.Run.Check != nil && len(types) != len(r.Run.Results)+2 {
			t.Errorf("%s: %d lines for %d findings", r.Name, len(types), len(r.Run.Results))
		}
	}
}

// Outside of code, nothing of what the target said is Markdown, HTML, a link or a mention; every row has the cells of its header.
func TestMarkdown(t *testing.T) {
	r := reporttest.Failing()
	r.Results[0].Message = "ping @owner, see https://evil.example and www.evil.example, ```\n# head"
	for _, r := range []*result.Run{r, reporttest.LoadFailing(), reporttest.LimitsQuiet()} {
		page := render(t, "markdown", r)
		fenced, columns := false, 0
		for l := range strings.Lines(page) {
			if strings.HasPrefix(l, "```") {
				fenced = !fenced
				continue
			}
			if fenced {
				continue
			}
			text := l
			for strings.Count(text, "`") >= 2 { // code spans
				a := strings.Index(text, "`")
				b := a + 1 + strings.Index(text[a+1:], "`")
				if a > 0 && text[a-1] == '\\' {
					break
				}
				text = text[:a] + text[b+1:]
			}
			plain := strings.NewReplacer(`\\`, "", `\<`, "", `\[`, "", `\|`, "", "\\`", "", `\*`, "").Replace(text)
			if strings.ContainsAny(plain, "<[`*") || strings.Contains(text, "@owner") || strings.Contains(text, "://") || strings.Contains(text, "www.") {
				t.Errorf("not escaped: %s", l)
			}
			n := strings.Count(plain, "|")
			if n == 0 {
				columns = 0
			} else if columns == 0 {
				columns = n
			} else if n != columns {
				t.Errorf("%d cells, the header has %d: %s", n-1, columns-1, l)
			}
		}
		if fenced {
			t.Error("a code block is left open")
		}
	}
}

// Whatever a file holds that can be read as a run can be written in every format, and shows nothing that it must not.
func FuzzFormats(f *testing.F) {
	for _, doc := range []string{
		`{"schema":"ssegauge/check/v1","target":{"url":"http://a:b@h/?key=1","http":"2"},"duration_ms":1e300,"summary":{"fail":1,"core":2},"results":[
			{"id":"a/b","level":"MUST","verdict":"fail","message":"x\u001b[0m","evidence":[{"connection":"c1","offset":-1,"length":7,"time_ms":-3,"text":"a\\n\u202eb","mark":[1,3],"hex":"zz"}],"reproduce":"curl"},
			{"id":"c","verdict":"not-observed","decided_by":"--x"},{"id":"d","verdict":"?"}]}`,
		`{"schema":"ssegauge/load/v1","validity":{"verdict":"suspect","reasons":["r"]},"plan":{"a":[{"b":1},{"c":[]}],"":null},"streams":{"failures":{"x":-1}},"events":{"lost":3},
			"latency_us":{"open":{"count":2,"min":-1,"p50":1e300,"max":0,"never":-5,"hdr":"AAAA"},"z":{"count":9,"min":0,"p50":3,"p90":1,"never":9}},
			"gates":[{"expression":"e","value":1e99,"unit":"us"}],"series":[{"name":"a_p50_us","step_ms":-1,"values":[1,null,-1e300]},{"name":"_us","values":[1e300]}]}`,
		`{"schema":"ssegauge/limits/v1","expect":["a\u001b"],"limits":[{"id":"a/b","verdict":"found","low":1e300,"high":-1,"unit":"bytes"},{"id":"a/b","verdict":"none","low":-2,"unit":"s"},{"verdict":"?","unit":"ratio"}],
			"curve":[{"streams":-1,"open_p99_us":1e-300,"events_per_second":1e300},{"streams":9e15,"deliver_p50_us":5,"deliver_p99_us":1e300,"validity":"x"}],"knee":{"lambda":1e300,"kappa":-1,"peak":2,"peak_ci95":[1e300,-1]},"thresholds":[{"value":1}]}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := result.Decode(bytes.NewReader(doc))
		if err != nil {
			return
		}
		for _, format := range reports.Formats() {
			var b bytes.Buffer
			if err := format.Render(&b, r); err != nil {
				t.Fatalf("%s: %v", format.Name, err)
			}
			for _, c := range b.String() {
				if c != '\n' && !unicode.IsPrint(c) {
					t.Fatalf("%s: rune %q", format.Name, c)
				}
			}
			if format.Name == "html" && (strings.Contains(b.String(), "NaN") && !bytes.Contains(doc, []byte("NaN")) || strings.Contains(b.String(), "%!") && !bytes.Contains(doc, []byte("%!"))) {
				t.Fatalf("a figure that is none:\n%s", b.String())
			}
		}
	})
}
