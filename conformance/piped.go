package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// pipedHead goes before a stream that comes without its response; nothing of it is judged.
const pipedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"

// stdin is the target of a stream that was piped in.
var stdin = result.Target{URL: "-"}

// ErrHead tells that what was given begins with a response head, so that it is not known how much of the framing was taken off.
var ErrHead = errors.New("it begins with a response head: give the body alone (curl -N, without -i)")

// OfBytes keeps the checks that the bytes of a stream decide alone, without the answer they came in, the time they took or anybody to ask. How a stream
// ends is one of them only where it is declared to be finite: what feeds it may have stopped anywhere.
func OfBytes(checks []Check, finite bool) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool {
		group, _, _ := strings.Cut(c.ID, "/")
		ending := c.ID == "framing/terminated" || c.ID == "llm/done"
		return !slices.Contains([]string{"encoding", "framing", "data", "id", "retry", "llm"}, group) ||
			c.Needs&Observe == 0 || c.Needs&(Extra|Many|Scenario|Gauge) != 0 || ending && !finite
	})
}

// RunPiped holds a stream that comes from somewhere else, `curl -N URL |`, against checks ([OfBytes]). Only Window, Declared and ExpectReplay of the target count.
// [ErrHead] is returned for bytes that begin with a response head.
func RunPiped(ctx context.Context, r io.Reader, t Target, checks []Check, o Options) (*result.Run, error) {
	var once sync.Once
	var hasHead atomic.Bool
	dial := func(context.Context, string, string) (net.Conn, error) {
		var ours, theirs net.Conn
		once.Do(func() {
			ours, theirs = net.Pipe()
			go func() {
				defer theirs.Close()
				hasHead.Store(errors.Is(feed(theirs, bufio.NewReader(r)), ErrHead))
			}()
		})
		if ours == nil {
			return nil, errors.New("a stream that was piped in comes once")
		}
		return ours, nil
	}
	if opened := o.Opened; opened != nil {
		o.Opened = func(result.Target) { opened(stdin) }
	}
	report := o.Finding
	o.Finding = func(f result.Finding) {
		if report != nil {
			piped(&f)
			report(f)
		}
	}
	run, err := Run(ctx, Target{
		Request: wire.Request{URL: &url.URL{Scheme: "http", Host: "stdin", Path: "/"}},
		Dialer:  wire.Dialer{NetDial: dial, Proto: wire.HTTP11},
		Window:  t.Window, ExpectReplay: t.ExpectReplay, Declared: t.Declared,
	}, checks, o)
	switch {
	case hasHead.Load():
		return nil, ErrHead
	case err != nil:
		return nil, err
	}
	for i := range run.Results {
		piped(&run.Results[i])
	}
	run.Target = stdin
	return run, nil
}

// feed is the server's side of the connection. It ends with the stream, or when the run has left.
func feed(c io.ReadWriter, in *bufio.Reader) error {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, pipedHead); err != nil {
		return err
	}
	if start, _ := in.Peek(len("HTTP/1.")); bytes.Equal(start, []byte("HTTP/1.")) || bytes.Equal(start, []byte("HTTP/2 ")) {
		return ErrHead
	}
	_, err := io.Copy(c, in) // whichever side ends it
	return err
}

// piped takes out of a finding what there is not: the head before the stream, a request that could be repeated, a flag that would decide.
func piped(f *result.Finding) {
	for i := range f.Evidence {
		f.Evidence[i].Connection = "stdin"
		f.Evidence[i].Offset -= int64(len(pipedHead))
	}
	f.Reproduce = ""
	if f.DecidedBy != "" {
		f.DecidedBy, f.Hint = "", ""
	}
}
