package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"ssegauge/reference/server"
)

const action = "../../.github/actions/check"

// runStep runs the step of the action as a runner does, and returns its outputs, what it printed, and its exit code.
func runStep(t *testing.T, inputs map[string]string) (outputs map[string]string, printed string, code int) {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(action)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", filepath.Join(path, "check.sh"))
	cmd.Env = append(os.Environ(), "GITHUB_ACTIONS=true", "RUNNER_TEMP="+dir, "ACTION_PATH="+path, "INPUT_WORKING_DIRECTORY="+dir, "INPUT_PROGRAM=ssegauge",
		"GITHUB_OUTPUT="+filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary"))
	for name, value := range inputs {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	outputs = map[string]string{}
	for lines := strings.Split(string(written), "\n"); len(lines) > 1; {
		if name, end, ok := strings.Cut(lines[0], "<<"); ok {
			n := slices.Index(lines, end)
			outputs[name] = strings.Join(lines[1:n], "\n")
			lines = lines[n+1:]
			continue
		}
		name, value, _ := strings.Cut(lines[0], "=")
		outputs[name] = value
		lines = lines[1:]
	}
	return outputs, string(out), cmd.ProcessState.ExitCode()
}

// The step as a job runs it: a fault fails it and is counted, files and a summary are written.
func TestAction(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	srv, err := server.New(server.Config{Fault: "retry/digits"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l, nil) }()
	defer func() { cancel(); <-done }()

	t.Run("fails", func(t *testing.T) {
		dir := t.TempDir()
		outputs, printed, code := runStep(t, map[string]string{
			"INPUT_URL":     "http://" + l.Addr().String() + "/tick?interval=100ms\n",
			"INPUT_ARGS":    "\n  --window=1s\r\n--only=retry/digits\n--header=X-Quoted: \"it's\" $(touch " + dir + "/pwned); `touch " + dir + "/pwned`\n",
			"INPUT_REPORTS": "json=" + dir + "/a report.json\njunit=" + dir + "/junit.xml",
		})
		want := map[string]string{
			"result": "failed", "exit-code": "1", "status": "failed", "pass": "0", "fail": "1", "warn": "0", "error": "0",
			"not-observed": "0", "reports": dir + "/a report.json\n" + dir + "/junit.xml",
		}
		for name, value := range want {
			if outputs[name] != value {
				t.Errorf("output %s is %q, not %q", name, outputs[name], value)
			}
		}
		if code != 1 || !strings.Contains(printed, "::error title=retry/digits::") {
			t.Errorf("exit code %d\n%s", code, printed)
		}
		if _, err := os.Stat(dir + "/pwned"); err == nil {
			t.Error("an input was run by the shell")
		}
	})
	t.Run("refuses", func(t *testing.T) {
		for name, inputs := range map[string]map[string]string{
			"no URL": {"INPUT_URL": " \n"}, "a flag for URL": {"INPUT_URL": "--baseline=x"},
			"no flag":    {"INPUT_URL": "http://127.0.0.1:1", "INPUT_ARGS": "--window\n1s"},
			"no path":    {"INPUT_URL": "http://127.0.0.1:1", "INPUT_REPORTS": "json="},
			"no fail-on": {"INPUT_URL": "http://127.0.0.1:1", "INPUT_FAIL_ON": "never"},
		} {
			if outputs, printed, code := runStep(t, inputs); code != 2 || outputs["result"] != "usage" || outputs["exit-code"] != "2" {
				t.Errorf("%s: exit code %d, outputs %v\n%s", name, code, outputs, printed)
			}
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free.Close()
		if outputs, printed, code := runStep(t, map[string]string{"INPUT_URL": "http://" + free.Addr().String()}); code != 3 || outputs["result"] != "unreachable" {
			t.Errorf("exit code %d, outputs %v\n%s", code, outputs, printed)
		}
	})
}

// No script of the action or of a workflow holds an expression (the runner would put in what it stands for before the shell reads it), each input gets to the
// script, and each output is one that is written.
func TestActionFiles(t *testing.T) {
	var a struct {
		Inputs  map[string]struct{ Description string }
		Outputs map[string]struct{ Value string }
		Runs    struct {
			Using string
			Steps []map[string]any
		}
	}
	read := func(file string, into any) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	read(action+"/action.yml", &a)
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 1 {
		t.Fatalf("not a composite action of one step: %+v", a.Runs)
	}
	env, _ := a.Runs.Steps[0]["env"].(map[string]any)
	script, err := os.ReadFile(action + "/check.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name := range a.Inputs {
		variable := "INPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if env[variable] != "${{ inputs."+name+" }}" || !strings.Contains(string(script), variable) {
			t.Errorf("the input %s does not get to the script", name)
		}
	}
	id, _ := a.Runs.Steps[0]["id"].(string)
	for name, o := range a.Outputs {
		if o.Value != "${{ steps."+id+".outputs."+name+" }}" {
			t.Errorf("output %s is %s", name, o.Value)
		}
	}
	workflows, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatal("no workflows", err)
	}
	steps := a.Runs.Steps
	for _, file := range workflows {
		var w struct {
			Permissions map[string]string
			Jobs        map[string]struct{ Steps []map[string]any }
		}
		read(file, &w)
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: permissions %v", file, w.Permissions)
		}
		for _, j := range w.Jobs {
			steps = append(steps, j.Steps...)
		}
	}
	used := regexp.MustCompile(`outputs\.([a-z-]+)`)
	for _, s := range steps {
		if run, _ := s["run"].(string); strings.Contains(run, "${{") {
			t.Errorf("an expression in the script of %v", s["name"])
		}
		if s["uses"] != "./.github/actions/check" {
			continue
		}
		for name := range s["with"].(map[string]any) {
			if _, ok := a.Inputs[name]; !ok {
				t.Errorf("%v: the action has no input %s", s["name"], name)
			}
		}
	}
	for _, file := range workflows {
		text, _ := os.ReadFile(file)
		for _, m := range used.FindAllStringSubmatch(string(text), -1) {
			if _, ok := a.Outputs[m[1]]; !ok {
				t.Errorf("%s: the action has no output %s", file, m[1])
			}
		}
	}
}
