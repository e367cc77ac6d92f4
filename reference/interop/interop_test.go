package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files beside the servers can be read, each server has a name of its own, and what it is started with is there.
func TestCases(t *testing.T) {
	cases, err := load(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] || c.Name == "" {
			t.Errorf("the name %q stands twice", c.Name)
		}
		seen[c.Name] = true
		expected := len(c.Expect)
		if c.Limits != nil {
			expected = len(c.Limits.Expect)
		}
		if len(c.Start) == 0 || c.Path == "" || expected == 0 {
			t.Errorf("%s: incomplete: %+v", c.Name, c)
		}
		for _, f := range c.Render {
			if _, err := os.Stat(filepath.Join(c.folder, f)); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	if len(cases) < 10 {
		t.Errorf("only %d servers", len(cases))
	}
}

// fake is a program that prints a fixed answer.
func fake(t *testing.T, stdout, exit string) *harness {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ssegauge")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncat <<'END'\n"+stdout+"\nEND\nexit "+exit+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &harness{program: program, scratch: t.TempDir()}
}

// What counts as a difference: a listed verdict that is another, a listed id that is not there, and any
// trouble that is not listed.
func TestCheckDifferences(t *testing.T) {
	expect := map[string]string{"http/head": "fail", "http/status": "pass"}
	for _, tc := range []struct{ name, results, exit, want string }{
		{"as expected", `{"id":"http/head","verdict":"fail"},{"id":"http/status","verdict":"pass"},{"id":"x","verdict":"info"}`, "1", ""},
		{"exit", `{"id":"http/head","verdict":"fail"},{"id":"http/status","verdict":"pass"}`, "0", "check: exit 0, expected 1"},
		{"other verdict", `{"id":"http/head","verdict":"pass"},{"id":"http/status","verdict":"pass"}`, "1", "http/head: found pass, expected fail"},
		{"missing", `{"id":"http/head","verdict":"fail"}`, "1", "http/status: not decided, expected pass"},
		{"false finding", `{"id":"http/head","verdict":"fail"},{"id":"http/status","verdict":"pass"},{"id":"x","verdict":"warn"}`, "1", "x: found warn where nothing is wrong"},
		{"fault of ours", `{"id":"http/head","verdict":"fail"},{"id":"http/status","verdict":"pass"},{"id":"x","verdict":"error"}`, "1", "x: found error where nothing is wrong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &outcome{}
			c := &Case{Name: "t", Exit: 1, HTTP: "1.1", Expect: expect}
			fake(t, `{"results":[`+tc.results+`]}`, tc.exit).check(t.Context(), c, place{port: 1}, o)
			if got := strings.Join(o.differences, "; "); !strings.HasPrefix(got, tc.want) || (tc.want == "") != (got == "") || len(o.differences) > 1 {
				t.Errorf("differences %q, wanted %q", got, tc.want)
			}
		})
	}
}

func TestLoadDifferences(t *testing.T) {
	good := `{"streams":{"opened":3,"failed":0},"events":{"published":0,"received":9,"lost":0}}`
	for _, tc := range []struct{ name, out, want string }{
		{"as expected", good, ""},
		{"lost", strings.Replace(good, `"lost":0`, `"lost":1`, 1), "load: 1 lost"},
		{"not all opened", strings.Replace(good, `"opened":3`, `"opened":2`, 1), "load: 2 of 3 streams opened"},
		{"doubled", strings.Replace(good, `"lost":0`, `"lost":0,"duplicated":1`, 1), "load: 0 lost, 1 duplicated"},
		{"nothing came", strings.Replace(good, `"received":9`, `"received":0`, 1), "load: nothing was received"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &outcome{}
			c := &Case{Name: "t", HTTP: "1.1", Load: &Load{Streams: 3, Duration: "1s"}}
			fake(t, tc.out, "0").load(t.Context(), c, place{port: 1}, o)
			if got := strings.Join(o.differences, "; "); !strings.HasPrefix(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("differences %q, wanted %q", got, tc.want)
			}
		})
	}
}
