package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"ssegauge/reports/result"
)

// startHostile listens for a peer and returns its URL.
func startHostile(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			go func() {
				serve(c)
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	return "http://" + l.Addr().String()
}

// running is a run of the program.
type running struct {
	args []string
	done chan struct{}

	code int
	out  output
	errs output
	took time.Duration
	peak int64 // bytes of resident memory that it had at most
	err  error // why there is no run
}

// atOnce bounds how many runs there are at once: most of them wait most of the time.
var atOnce = make(chan struct{}, 8)

// start runs the program as soon as there is a place for it.
func start(t *testing.T, program string, args ...string) *running {
	t.Helper()
	r := &running{args: args, done: make(chan struct{})}
	dir := t.TempDir()
	go func() {
		defer close(r.done)
		atOnce <- struct{}{}
		defer func() { <-atOnce }()
		r.run(t.Context(), program, dir)
	}()
	t.Cleanup(func() { <-r.done })
	return r
}

// Exit codes of the program.
const (
	unreachable  = 3
	inconclusive = 4
)

// hang is after how long a run is taken to hang, on a busy machine too.
const hang = 2 * time.Minute

func (r *running) run(ctx context.Context, program, dir string) {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, r.args...)
	cmd.Env = append(os.Environ(), "GITHUB_ACTIONS=", "NO_COLOR=1")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &r.out, &r.errs
	began := time.Now()
	if r.err = cmd.Start(); r.err != nil {
		return
	}
	over, peak := make(chan struct{}), make(chan int64, 1)
	go func() { peak <- highWater(cmd.Process.Pid, over) }()
	r.err = cmd.Wait()
	close(over)
	r.took, r.peak = time.Since(began), <-peak
	if exit, ok := errors.AsType[*exec.ExitError](r.err); ok {
		r.code, r.err = exit.ExitCode(), nil
	}
	if ctx.Err() != nil {
		r.err = fmt.Errorf("no end within %v: it hangs", hang)
	}
}

// wait waits for the end of a run and holds it against what every run must keep to.
func (r *running) wait(t *testing.T, within time.Duration) {
	t.Helper()
	<-r.done
	t.Logf("ssegauge %s: exit code %d after %v, at most %d MiB, %d bytes said", strings.Join(r.args, " "), r.code, r.took.Round(100*time.Millisecond), r.peak>>20, r.out.n)
	switch {
	case r.err != nil:
		t.Fatal(r.err)
	case r.took > within && os.Getenv("CI") == "":
		t.Errorf("it took %v, more than %v", r.took, within)
	}
	if r.peak > memory {
		t.Errorf("it had %d MiB, more than %d MiB", r.peak>>20, memory>>20)
	}
	if !slices.Contains([]int{0, 1, unreachable, inconclusive}, r.code) { // no fault of the program's, none of the user's
		t.Errorf("exit code %d\n%s", r.code, r.errs.start)
	}
	for _, o := range []*output{&r.out, &r.errs} {
		if o.raw != "" {
			t.Errorf("a control character of the target came through: %s", o.raw)
		}
		if bytes.Contains(o.start, []byte("fault of ours")) {
			t.Errorf("a fault of ours: %s", o.start)
		}
	}
}

// output keeps the beginning of what the program says, and looks through all of it for what a terminal would obey.
type output struct {
	start []byte
	n     int64
	cut   []byte // the beginning of a character, from the write before
	raw   string // where the first control character stands
}

// control is what a terminal obeys, or what changes the order of the text around it.
var control = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

func (o *output) Write(p []byte) (int, error) {
	o.n += int64(len(p))
	if room := 4<<20 - len(o.start); room > 0 {
		o.start = append(o.start, p[:min(room, len(p))]...)
	}
	text := append(o.cut, p...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if b := text[len(text)-i:]; utf8.RuneStart(b[0]) && !utf8.FullRune(b) {
			whole -= i
		}
	}
	text, o.cut = text[:whole], slices.Clone(text[whole:])
	at := control.FindIndex(text)
	if at == nil && !utf8.Valid(text) {
		at = []int{0, 0}
	}
	if at != nil && o.raw == "" {
		o.raw = fmt.Sprintf("%q", text[max(0, at[0]-20):min(len(text), at[1]+20)])
	}
	return len(p), nil
}

// want wants a finding of check, "id verdict", or an exit code.
func (r *running) want(t *testing.T, want string) {
	t.Helper()
	id, verdict, ok := strings.Cut(want, " ")
	if !ok {
		if got := strconv.Itoa(r.code); !slices.Contains(strings.Split(want, "|"), got) {
			t.Errorf("exit code %s, want %s\n%s", got, want, r.errs.start)
		}
		if r.code == unreachable {
			return
		}
	}
	run, err := result.Decode(bytes.NewReader(r.out.start))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range run.Check.Results {
		if f.ID == id && !slices.Contains(strings.Split(verdict, "|"), string(f.Verdict)) {
			t.Errorf("%s: %s (%s), want %s", id, f.Verdict, f.Message, verdict)
		}
		if f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error {
			t.Logf("%s %s: %s", f.Verdict, f.ID, f.Message)
		}
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// highWater watches the peak of a process's resident memory until it is over; 0 where the system does not tell. (What wait4 tells includes what
// its parent had.)
func highWater(pid int, over <-chan struct{}) (peak int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			if m := peakLine.FindSubmatch(status); m != nil {
				kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
				peak = max(peak, kib<<10)
			}
		}
		select {
		case <-over:
			return peak
		case <-tick.C:
		}
	}
}

// build builds the program as it is shipped: the race detector would take memory of its own.
func build(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ssegauge")
	if out, err := exec.Command("go", "build", "-o", path, "ssegauge/cmd/ssegauge").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}
