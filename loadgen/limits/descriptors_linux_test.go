package limits

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// The number of descriptors that this process may have is no limit of the target.
func TestStreamsDescriptors(t *testing.T) {
	const env = "SSEGAUGE_TEST_DESCRIPTORS_OF"
	if url := os.Getenv(env); url != "" {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		few := unix.Rlimit{Cur: uint64(len(open)) + 128 + 20, Max: uint64(len(open)) + 128 + 20} // what is kept for other things, and 20 streams
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			t.Skip(err)
		}
		climb, _ := quick(t, url, 500, false)
		l := climb.search(t.Context())
		if l.Verdict != result.LimitFound || l.Owner != result.OwnerGenerator || *l.Low < 10 || *l.Low != *l.High || *l.High > 22 || !strings.Contains(l.Evidence, "file descriptors") {
			t.Errorf("%s: %s", inWords(l), l.Evidence)
		}
		few.Cur, few.Max = uint64(len(open))+100, uint64(len(open))+100 // and none at all
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			t.Skip(err)
		}
		climb, _ = quick(t, url, 500, false)
		if l = climb.search(t.Context()); l.Verdict != result.LimitUndecided || l.Owner != result.OwnerGenerator || !strings.Contains(l.Evidence, "file descriptors") {
			t.Errorf("%s: %s", inWords(l), l.Evidence)
		}
		// What the probe before had open is more than that, and is said.
		climb, s := quick(t, url, 500, false)
		if p := perClient(t.Context(), s); p[0].Owner != result.OwnerGenerator || s.crowded == 0 {
			t.Errorf("%s: %s", inWords(p[0]), p[0].Evidence)
		}
		if l = climb.search(t.Context()); l.Verdict != result.LimitFound || l.Owner != result.OwnerGenerator || int(*l.Low) != s.crowded || !strings.Contains(l.Evidence, "by the probe per-client") {
			t.Errorf("%s: %s", inWords(l), l.Evidence)
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStreamsDescriptors$", "-test.v")
	child.Env = append(os.Environ(), env+"="+referenceServer(t, server.Config{}))
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
