package conformance_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/reports/result"
)

// slowly gives a line each second.
type slowly struct{ lines []string }

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.lines) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := copy(p, s.lines[0])
	s.lines = s.lines[1:]
	return n, nil
}

func runPiped(t *testing.T, r io.Reader, window time.Duration, finite bool) (map[string]result.Finding, *result.Run, error) {
	t.Helper()
	found := map[string]result.Finding{}
	var run *result.Run
	var err error
	synctest.Test(t, func(t *testing.T) {
		run, err = conformance.RunPiped(t.Context(), r, conformance.Target{Window: window}, conformance.OfBytes(catalogue.All(), finite), conformance.Options{})
		time.Sleep(time.Minute)
	})
	if run != nil {
		for _, f := range run.Results {
			found[f.ID] = f
		}
	}
	return found, run, err
}

func TestPiped(t *testing.T) {
	const stream = "retry: 3s\n\nid: 1\ndata: a\n\ndata: caf\xe9\n\ndata: cut"
	found, run, err := runPiped(t, strings.NewReader(stream), 0, false)
	if err != nil || run.Target.URL != "-" || run.Interrupted {
		t.Fatalf("%+v, error %v", run, err)
	}
	for id, at := range map[string]string{"retry/digits": "retry: 3s", "encoding/utf8": "\xe9"} {
		f := found[id]
		if f.Verdict != result.Fail || len(f.Evidence) != 1 || f.Evidence[0].Connection != "stdin" || !strings.HasPrefix(stream[f.Evidence[0].Offset:], at) || f.Reproduce != "" {
			t.Errorf("%+v", f)
		}
		if strings.Contains(f.Evidence[0].Text, "Content-Type") {
			t.Errorf("it shows a head that nobody sent: %+v", f.Evidence[0])
		}
	}
	if f := found["id/nul"]; f.Verdict != result.Pass {
		t.Errorf("%+v", f)
	}
	if _, ok := found["framing/terminated"]; ok {
		t.Error("how the stream ends was judged, though what feeds it may have stopped anywhere")
	}
	for id, f := range found {
		if f.DecidedBy != "" || strings.HasPrefix(id, "http/") {
			t.Errorf("%+v", f)
		}
	}
	if found, _, _ = runPiped(t, strings.NewReader(stream), 0, true); found["framing/terminated"].Verdict != result.Fail {
		t.Errorf("declared finite: %+v", found["framing/terminated"])
	}
	// A stream that has not ended is judged at the end of the window.
	found, _, err = runPiped(t, &slowly{strings.SplitAfter(strings.Repeat("data: x\n\n", 20), "\n")}, 5*time.Second, false)
	if err != nil || found["encoding/utf8"].Verdict != result.Pass {
		t.Errorf("%+v, error %v", found["encoding/utf8"], err)
	}
	// Nothing at all decides nothing.
	if _, run, err = runPiped(t, strings.NewReader(""), 0, false); err != nil || run.Status() != result.Inconclusive {
		t.Errorf("%+v, error %v", run, err)
	}
	for _, head := range []string{"HTTP/1.1 200 OK\r\n", "HTTP/2 200 \r\n"} {
		if _, _, err = runPiped(t, strings.NewReader(head), 0, false); !errors.Is(err, conformance.ErrHead) {
			t.Errorf("error %v", err)
		}
	}
}
