package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssegauge/reference/publish"
)

// One command gets a line for each message, and its end of input when it is no longer needed.
func TestStdin(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p := mustCompile(t, publish.Hook{Stdin: fmt.Sprintf("echo start >>'%[1]s'; cat >>'%[1]s'; echo end >>'%[1]s'", out), Body: "{{.ID}} {{json .Data}}\n"})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if r, err := p.Publish(t.Context(), publish.Message{ID: fmt.Sprint(i), Data: "a\nb"}); err != nil || r.Refused {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if _, err := p.Publish(t.Context(), publish.Message{ID: "two\nlines"}); err == nil || !strings.Contains(err.Error(), "line break") {
		t.Errorf("two lines: %v", err)
	}
	p.Close()
	if got, _ := os.ReadFile(out); string(got) != "start\n0 \"a\\nb\"\n1 \"a\\nb\"\n2 \"a\\nb\"\nend\n" {
		t.Errorf("%q", got)
	}
	// It can be used again.
	if _, err := p.Publish(t.Context(), publish.Message{ID: "again"}); err != nil {
		t.Error(err)
	}
	p.Close()
	if got, _ := os.ReadFile(out); !strings.HasSuffix(string(got), "end\nstart\nagain \"\"\nend\n") {
		t.Errorf("%q", got)
	}
	if !p.Uses("Data") || p.Uses("Marker") || p.String() != "a command fed on stdin" {
		t.Errorf("%s", p)
	}
}

// A command that ends says why, is started again, but not for ever.
func TestStdinEnds(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	p := mustCompile(t, publish.Hook{Stdin: fmt.Sprintf("echo >>'%s'; read line; echo first >&2; echo 'no room left' >&2; exit 3", starts)})
	failed := 0
	for end := time.Now().Add(30 * time.Second); failed < 10 && time.Now().Before(end); {
		_, err := p.Publish(t.Context(), publish.Message{Data: "x"})
		var ce *publish.CommandError
		switch {
		case err == nil:
			time.Sleep(time.Millisecond) // it takes a moment to die
		case !errors.As(err, &ce) || ce.Exit != "exit status 3" || ce.Says != `"no room left"`:
			t.Fatalf("%v", err)
		default:
			failed++
		}
	}
	if failed < 10 {
		t.Errorf("%d failures", failed)
	}
	if got, _ := os.ReadFile(starts); len(got) != 4 {
		t.Errorf("started %d times, want 4", len(got))
	}
	missing := mustCompile(t, publish.Hook{Stdin: "no-such-command-here"})
	for end := time.Now().Add(30 * time.Second); ; {
		if _, err := missing.Publish(t.Context(), publish.Message{Data: "x"}); err != nil {
			if !strings.Contains(err.Error(), "exit status 127") || !strings.Contains(err.Error(), "no-such-command-here") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("a command that is not there took lines for ever")
		}
	}
}

// A command that does not read holds nobody up beyond the time a publish may take, and no half line is followed by another.
func TestStdinFull(t *testing.T) {
	p := mustCompile(t, publish.Hook{Stdin: "sleep 60", Timeout: 2 * time.Second})
	began := time.Now()
	if _, err := p.Publish(t.Context(), publish.Message{Data: strings.Repeat("x", 4<<20)}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("%v", err)
	}
	if _, err := p.Publish(t.Context(), publish.Message{Data: "a line that fits into the pipe of the next"}); err != nil {
		t.Error(err)
	}
	p.Close()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}
