package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/wire"
)

// example is a plan of testdata, validated.
func example(t *testing.T, name string) *plan.Plan {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := plan.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	p.In("testdata")
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

func of(t *testing.T, r *plan.Requests, n int) *wire.Request {
	t.Helper()
	req, err := r.Of(n)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestRequests(t *testing.T) {
	p := example(t, "users.yaml")
	r := p.Requests(0)
	if !r.Varies() || !r.URLVaries() {
		t.Fatal("nothing varies")
	}
	for n, want := range map[int][2]string{
		0: {"/events?channel=7&user=Ada+Lovelace&stream=0", "Bearer secret-1"},
		2: {"/events?channel=7&user=Edsger+%26+Co&stream=2", "Bearer secret-3"},
		4: {"/events?channel=9&user=Grace+%22Amazing%22+Hopper&stream=4", "Bearer secret-2"},
	} {
		req := of(t, r, n)
		if got := [2]string{req.URL.RequestURI(), req.Header.Get("Authorization")}; got != want || req.URL.Host != "127.0.0.1:8080" || req.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("stream %d: %q, %v", n, got, req.Header)
		}
	}
	// A segment's streams are the plan's.
	p.Segment = plan.Segment{Index: 1, Count: 3}
	if got := of(t, r, p.Number(1)).URL.Query().Get("stream"); got != "4" {
		t.Errorf("stream %s", got)
	}

	// Any row, but always the same for the same seed; a body from a file.
	p = example(t, "prompts.yaml")
	seen := map[string]int{}
	for n := range 300 {
		req := of(t, p.Requests(0), n)
		if string(req.Body) != string(of(t, p.Requests(0), n).Body) {
			t.Fatal("another row for the same stream")
		}
		var body struct {
			Model    string
			Messages []struct{ Content string }
		}
		if err := json.Unmarshal(req.Body, &body); err != nil || req.Method != "POST" {
			t.Fatalf("%s %s: %v", req.Method, req.Body, err)
		}
		seen[body.Model+": "+body.Messages[0].Content]++
	}
	if len(seen) != 2 || seen["small: Count to ten."] < 100 || seen["large: Write a poem of two lines:\none about streams, one about \"events\"."] < 100 {
		t.Errorf("%v", seen)
	}

	// Where nothing varies there is one request.
	p = example(t, "llm.yaml")
	if r := p.Requests(0); r.Varies() || of(t, r, 0) != of(t, r, 7) {
		t.Error("a request for each stream")
	}
}

// A redirect of the first stream is a redirect of all, where it can be known how.
func TestMoved(t *testing.T) {
	to := func(first *wire.Request, raw string) *wire.Request {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		moved := *first
		moved.URL = u
		return &moved
	}
	users := example(t, "users.yaml").Requests(0)
	first := of(t, users, 0)
	elsewhere := to(first, "https://h:8443"+first.URL.RequestURI())
	elsewhere.Header = wire.Header{{Name: "Accept", Value: "text/event-stream"}}
	moved, err := users.Moved(first, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if req := of(t, moved, 1); !strings.HasPrefix(req.URL.String(), "https://h:8443/events?channel=9&") || req.Header.Has("Authorization") || len(req.Header) != 1 {
		t.Errorf("%v %v", req.URL, req.Header)
	}
	if same, err := users.Moved(first, first); err != nil || same != users {
		t.Errorf("not moved: %v", err)
	}
	if _, err := users.Moved(first, to(first, "http://127.0.0.1:8080/elsewhere")); err == nil || !strings.Contains(err.Error(), "redirected to another path") {
		t.Errorf("%v", err)
	}
	prompts := example(t, "prompts.yaml").Requests(0)
	first = of(t, prompts, 0)
	if moved, err = prompts.Moved(first, to(first, "http://h/v2")); err != nil {
		t.Fatal(err)
	}
	if req := of(t, moved, 3); req.URL.String() != "http://h/v2" || len(req.Body) == 0 || string(req.Body) != string(of(t, prompts, 3).Body) {
		t.Errorf("%v %s", req.URL, req.Body)
	}
}

// Each mistake is one line that says where it is and shows no cell, which may be a credential.
func TestVariableMistakes(t *testing.T) {
	const header = "header: ['X: {{.name}}']"
	for i, c := range []struct{ csv, target, more, want string }{
		{"", header, "", `plan: variables.file: "FILE": it is empty; want a first line that names the columns`},
		{"name\n", header, "", "there is no row after the first line"},
		{"name,\na,b\n", header, "", "line 1: column 2 has no name of its own"},
		{"name,name\na,b\n", header, "", "line 1: column 2 has no name of its own"},
		{"name,b\n1,2\nsecret\n", header, "", "line 3: 1 cells where the first line names 2 columns"},
		{"name,b\n\"two\nlines\",2\nsecret,1,2\n", header, "", "line 4: 3 cells where"},
		{"name\na\nsec\"ret\n", header, "", "line 3: a quote that opens or closes nothing"},
		{"name\na\n\"secret\nx\n", header, "", "a quote that opens or closes nothing"},
		{"nmae,b\n1,2\n", header, "", `plan: targets[0].header: X: "FILE" has no column "name"; it has "nmae, b"`},
		{"name\nok\n\"se\ncret\"\n", header, "", `plan: targets[0].header: X: "FILE", line 3: it makes a value with CR, LF or U+0000`},
		{"host\nh\nsecret\n", "url: 'http://{{.host}}/'", "", "targets[0].url: "},
		{"path\na\n'%zz'\n", "url: 'http://h/{{.path}}'", "", `plan: targets[0].url: "FILE", line 3: it makes no URL; is a value in it without urlquery?`},
		{"name\na\n", "body: '{{.Row.}}'", "", "plan: targets[0].body: "},
		{"name\na\n", "body: '{{nope .name}}'", "", `plan: targets[0].body: 1: function "nope" not defined; want a Go template`},
		{"name\na\n", header, "order: shuffled", `plan: variables.order: "shuffled"; want turn or random`},
		{"-", "body: '{{.name}}'", "", `plan: targets[0].body: there is no variable "name"; want .Stream, or variables with a file`},
		{"--", header, "", `no such file`},
	} {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.csv", i))
		target, variables := c.target, fmt.Sprintf("variables: {file: '%s'", file)
		if !strings.HasPrefix(target, "url") {
			target = "url: 'http://h/', " + target
		}
		if c.more != "" {
			variables += ", " + c.more
		}
		variables += "}\n"
		switch c.csv {
		case "-":
			variables = ""
		case "--":
		default:
			if err := os.WriteFile(file, []byte(c.csv), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p, err := plan.Decode(strings.NewReader("targets: [{" + target + "}]\n" + variables))
		if err == nil {
			err = p.Validate()
		}
		want := strings.ReplaceAll(c.want, "FILE", file)
		var pe *plan.Error
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q, %s: %v, want %s", c.csv, c.target, err, want)
		}
	}
}

// In turn no more rows are read than there are streams, and a file that names more than can be kept is refused.
func TestManyRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.csv")
	var b strings.Builder
	b.WriteString("\ufeffname\r\n") // as spreadsheets write it
	for n := range 1000 {
		fmt.Fprintf(&b, "row %d\r\n", n)
	}
	b.WriteString("and, a row that is wrong\r\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Targets: []plan.Target{{URL: "http://h/", Header: []string{"X: {{.name}}"}}}, Streams: 1000, Variables: &plan.Variables{File: file}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := of(t, p.Requests(0), 1999).Header.Get("X"); got != "row 999" {
		t.Errorf("%q", got)
	}
	q := &plan.Plan{Targets: p.Targets, Streams: 1001, Variables: &plan.Variables{File: file}}
	if err := q.Validate(); err == nil || !strings.Contains(err.Error(), "line 1002: 2 cells") {
		t.Errorf("%v", err)
	}
}
