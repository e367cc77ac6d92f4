package github_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"ssegauge/reports/github"
	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// command is a workflow command as the runner reads it.
type command struct{ level, title, message string }

var (
	line       = regexp.MustCompile(`^::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)$`)
	properties = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	messages   = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%")
)

func annotations(t *testing.T, r *result.Run) (out []command) {
	t.Helper()
	var b bytes.Buffer
	if err := github.Annotations(&b, r); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(b.String()) {
		m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
		if m == nil {
			t.Fatalf("not a command: %q", l)
		}
		out = append(out, command{m[1], properties.Replace(m[2]), messages.Replace(m[3])})
	}
	return out
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		var b bytes.Buffer
		if err := github.Annotations(&b, r.Run); err != nil {
			t.Fatal(err)
		}
		reporttest.Golden(t, r.Name+".txt", b.Bytes())
	}
}

func TestCheck(t *testing.T) {
	r := reporttest.Failing()
	r.Results[4].Message = "100 % a,b: c"
	r.Results[4].ID = "a/50%,b:c"
	got := annotations(t, r)
	want := map[string]string{"http/content-type": "warning", "a/50%,b:c": "error", "data/multiline": "error", "sec/inject/data-cr": "error", "http/head could not be judged": "warning", "ssegauge check: failed": "error"}
	if len(got) != len(want) {
		t.Errorf("%d annotations", len(got))
	}
	for _, c := range got {
		if want[c.title] != c.level {
			t.Errorf("%s is %s", c.title, c.level)
		}
	}
	if m := got[0].message; !strings.HasPrefix(m, "100 % a,b: c\nc1, byte 1,044, 1 byte") || !strings.Contains(m, "\ndo: ") || !strings.Contains(m, "\nrun: curl") {
		t.Errorf("message %q", m)
	}
	if last := got[len(got)-1]; !strings.Contains(last.message, "failed, 1 warning") {
		t.Errorf("verdict %q", last.message)
	}
	if got := annotations(t, reporttest.Clean()); len(got) != 1 || got[0].level != "notice" || got[0].title != "ssegauge check: passed" {
		t.Errorf("clean: %v", got)
	}
	if got := annotations(t, reporttest.Interrupted()); len(got) != 1 || got[0].level != "error" || got[0].title != "ssegauge check: interrupted" {
		t.Errorf("interrupted: %v", got)
	}
}

func TestLoad(t *testing.T) {
	failing := reporttest.LoadFailing()
	if got := annotations(t, failing); len(got) != 3 || got[0].level != "warning" || got[2].level != "error" {
		t.Errorf("not valid: %v", got)
	}
	failing.Validity, failing.Interrupted = result.Validity{Verdict: result.Valid}, false
	got := annotations(t, failing)
	if len(got) != 4 || got[0] != (command{"error", "threshold deliver.p99 < 250ms", "no value; 3,100 never came, p99 is among them"}) {
		t.Errorf("failing: %v", got)
	}
}

// No more annotations than the runner shows, the verdict among them.
func TestMany(t *testing.T) {
	r := &result.Run{Check: &result.Check{}}
	for range 30 {
		r.Results = append(r.Results, result.Finding{ID: "a", Verdict: result.Fail, Message: strings.Repeat("é", 50_000)}, result.Finding{ID: "b", Verdict: result.Warn})
	}
	r.Summary = result.Summarise(r.Results)
	count := map[string]int{}
	got := annotations(t, r)
	for _, c := range got {
		count[c.level]++
		if len(c.message) > 5000 || strings.Contains(c.message, "\ufffd") {
			t.Errorf("message of %d bytes", len(c.message))
		}
	}
	if count["error"] != 10 || count["warning"] != 9 || !strings.Contains(got[len(got)-1].message, "42 findings more") {
		t.Errorf("%v; %s", count, got[len(got)-1].message)
	}
}

// The target neither ends its annotation nor begins another command.
func TestHostile(t *testing.T) {
	h := "\r\n::error::x\n##[add-mask]y%0A::stop-commands::z" + reporttest.Hostile
	r := &result.Run{Target: result.Target{URL: h}, Check: &result.Check{}}
	for _, v := range []result.Verdict{result.Fail, result.Warn, result.Error} {
		r.Results = append(r.Results, result.Finding{ID: h, Title: h, Clause: h, Verdict: v, Message: h, Hint: h, Reproduce: h, Evidence: []result.Evidence{result.NewEvidence([]byte(h), 2, 9)}})
	}
	got := annotations(t, r)
	if len(got) != 4 {
		t.Errorf("%d commands", len(got))
	}
	if got[0].title != result.Escape(h) || !strings.HasPrefix(got[0].message, result.Escape(h)) {
		t.Errorf("reads %q", got[0])
	}
}

func TestFence(t *testing.T) {
	broken := errors.New("broken")
	tokens := map[string]bool{}
	for _, want := range []error{nil, broken} {
		var b bytes.Buffer
		err := github.Fence(&b, func(w io.Writer) error {
			_, _ = io.WriteString(w, "text ::error::x") // into memory
			return want
		})
		m := regexp.MustCompile(`^::stop-commands::(ssegauge-[A-Z2-7]{26})\ntext ::error::x\n::(ssegauge-[A-Z2-7]{26})::\n$`).FindStringSubmatch(b.String())
		if !errors.Is(err, want) || m == nil || m[1] != m[2] || tokens[m[1]] {
			t.Errorf("%v: %q", err, b.String())
			continue
		}
		tokens[m[1]] = true
	}
	if err := github.Fence(full{}, nil); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestErrors(t *testing.T) {
	if github.Annotations(io.Discard, &result.Run{}) == nil {
		t.Error("a report of a run without an outcome")
	}
}

// The outputs of a step count over all targets, and hold nothing that a target said.
func TestOutputs(t *testing.T) {
	var b strings.Builder
	run := func(findings ...result.Finding) *result.Run {
		return &result.Run{Check: &result.Check{Summary: result.Summarise(findings), Results: findings}}
	}
	one := run(result.Finding{ID: "http/status", Verdict: result.Pass}, result.Finding{ID: "http/head", Verdict: result.Fail, Message: "x\nstatus=passed"})
	two := run(result.Finding{ID: "http/status", Verdict: result.Pass}, result.Finding{ID: "http/head", Verdict: result.NotObserved})
	if err := github.Outputs(&b, one, two); err != nil {
		t.Fatal(err)
	}
	want := "status=failed\npass=2\nfail=1\nwarn=0\ninfo=0\nnot-observed=1\nnot-applicable=0\nerror=0\naccepted=0\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
