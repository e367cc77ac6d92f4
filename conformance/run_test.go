package conformance_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers each connection by f, after its request was read.
func serve(f func(c net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			br := bufio.NewReader(theirs)
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			f(theirs)
		}()
		return ours, nil
	}
}

func target(dial func(context.Context, string, string) (net.Conn, error)) conformance.Target {
	u, _ := url.Parse("http://user:secret@peer.example/events?token=secret")
	return conformance.Target{Request: wire.Request{URL: u}, Dialer: wire.Dialer{NetDial: dial}}
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

// ticking sends an event each second until the client leaves.
func ticking(c net.Conn) {
	io.WriteString(c, head)
	for {
		if _, err := io.WriteString(c, "id: 1\ndata: x\n\n"); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// bubble runs f in fake time, and lets the peers find out that their clients left.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(5 * time.Second)
	})
}

func pass(id string) conformance.Check {
	return conformance.Check{ID: id, Core: true, Run: func(_ context.Context, p *conformance.Probe) {
		p.Observed()
		p.Pass("fine")
	}}
}

func TestUnreachable(t *testing.T) {
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	nowhere := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "peer.example", IsNotFound: true}
	}
	silent := serve(func(net.Conn) {})
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"refused": refused, "no such host": nowhere, "closes without an answer, twice": silent,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, err := conformance.Run(t.Context(), target(dial), []conformance.Check{pass("a")}, conformance.Options{})
				if _, ok := errors.AsType[*conformance.UnreachableError](err); !ok || r != nil {
					t.Errorf("run %+v, error %v; want an UnreachableError", r, err)
				}
				if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error is not one line without credentials: %v", err)
				}
			})
		})
	}
}

func TestAnswersTheSecondTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		dial := serve(func(c net.Conn) {
			if n++; n > 1 {
				ticking(c)
			}
		})
		if _, err := conformance.Run(t.Context(), target(dial), []conformance.Check{pass("a")}, conformance.Options{}); err != nil {
			t.Error(err)
		}
	})
}

func TestBadRequest(t *testing.T) {
	tg := target(serve(ticking))
	tg.Request.Header = wire.Header{{Name: "A b", Value: "x"}}
	bubble(t, func(t *testing.T) {
		_, err := conformance.Run(t.Context(), tg, []conformance.Check{pass("a")}, conformance.Options{})
		if _, ok := errors.AsType[*wire.RequestError](err); !ok {
			t.Errorf("error %v, want a RequestError", err)
		}
	})
}

// A check can go wrong in every way without taking the run with it.
func TestChecksThatGoWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		checks := []conformance.Check{
			{ID: "panics", Run: func(context.Context, *conformance.Probe) { panic("at the\ndisco") }},
			{ID: "says nothing", Run: func(context.Context, *conformance.Probe) {}},
			{ID: "never returns", Run: func(context.Context, *conformance.Probe) { <-stuck }},
			{ID: "not built"},
			{ID: "needs a hook", Needs: conformance.Publish, Run: func(context.Context, *conformance.Probe) { panic("called") }},
			{ID: "gravest", Run: func(_ context.Context, p *conformance.Probe) {
				p.Pass("1")
				p.Fail("2").Hint("do")
				p.Warn("3")
				p.Fail("4").Hint("do not")
			}},
			pass("passes"),
		}
		var order []string
		decided := 0
		r, err := conformance.Run(t.Context(), target(serve(ticking)), checks, conformance.Options{
			Progress: func(n, total int, id string) {
				if decided++; n != decided || total != 6 {
					t.Errorf("progress %d of %d, want %d of 6", n, total, decided)
				}
				order = append(order, id)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		close(stuck)
		want := []struct {
			id      string
			verdict result.Verdict
			says    string
		}{
			{"panics", result.Error, "at the disco at run_test.go:"},
			{"says nothing", result.Error, "no verdict"},
			{"never returns", result.Error, "no verdict within"},
			{"needs a hook", result.NotObserved, "not known"},
			{"gravest", result.Fail, "2"},
			{"passes", result.Pass, "fine"},
		}
		if len(r.Results) != len(want) || len(order) != len(want) {
			t.Fatalf("%d findings, %d reported", len(r.Results), len(order))
		}
		for i, w := range want {
			f := r.Results[i]
			if f.ID != w.id || f.Verdict != w.verdict || !strings.Contains(f.Message, w.says) {
				t.Errorf("finding %d is %+v, want %+v", i, f, w)
			}
			if f.Evidence == nil {
				t.Errorf("%s: evidence is null", f.ID)
			}
		}
		if g := r.Results[4]; g.Hint != "do" || strings.Contains(g.Reproduce, "secret") || !strings.Contains(g.Reproduce, "curl") {
			t.Errorf("%+v", g)
		}
		if r.Summary.Core != 1 || r.Summary.CoreDecided != 1 || r.Interrupted || strings.Contains(r.Target.URL, "secret") || r.Target.HTTP != "1.1" {
			t.Errorf("%+v %+v", r.Summary, r.Target)
		}
	})
}

func TestInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		events := 0
		var conn *conformance.Connection
		checks := []conformance.Check{
			{ID: "observes", Run: func(_ context.Context, p *conformance.Probe) {
				conn = p.Observed()[0]
				events = len(conn.Events())
				p.Pass("fine")
			}},
			{ID: "waits its turn", Run: func(ctx context.Context, p *conformance.Probe) {
				p.Observed()
				_, release, ok := p.Alone(ctx)
				if ok {
					p.Fail("it got its turn")
					release()
				}
			}},
		}
		r, err := conformance.Run(ctx, target(serve(ticking)), checks, conformance.Options{})
		if err != nil || !r.Interrupted || time.Since(start) != 5*time.Second || events < 5 {
			t.Fatalf("run %+v, error %v, after %v, %d events", r, err, time.Since(start), events)
		}
		if r.Results[0].Verdict != result.Pass || r.Results[1].Verdict == result.Fail {
			t.Errorf("%+v", r.Results)
		}
		if _, err := conn.Ended(); err != nil {
			t.Errorf("the interrupt counts as the stream's end: %v", err)
		}
	})
}

// Nobody waits for a window that nobody needs.
func TestEndsEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		checks := []conformance.Check{
			{ID: "head", Run: func(_ context.Context, p *conformance.Probe) { p.Pass("%d", p.First().Head.Status) }},
			{ID: "alone", Run: func(ctx context.Context, p *conformance.Probe) {
				_, release, _ := p.Alone(ctx)
				defer release()
				p.Pass("mine")
			}},
		}
		if _, err := conformance.Run(t.Context(), target(serve(ticking)), checks, conformance.Options{}); err != nil || time.Since(start) > time.Second {
			t.Errorf("took %v, error %v", time.Since(start), err)
		}
	})
}

func TestAnswerThatIsNoStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		endless := serve(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "\xff\xfb"); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		start := time.Now()
		if _, err := conformance.Run(t.Context(), target(endless), []conformance.Check{pass("a")}, conformance.Options{}); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("took %v, error %v; an answer that is no stream is not read for the whole window", time.Since(start), err)
		}
	})
}

// What a target can make us hold is bounded.
func TestFloods(t *testing.T) {
	for name, unit := range map[string]string{
		"one line":       strings.Repeat("x", 32<<10),
		"blank lines":    strings.Repeat("\n", 32<<10),
		"one data field": "data: " + strings.Repeat("x", 32<<10),
		"small events":   strings.Repeat("data\n\n", 4<<10),
		"comments":       strings.Repeat(":\n", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			flood := serve(func(c net.Conn) {
				io.WriteString(c, head)
				for {
					if _, err := io.WriteString(c, unit); err != nil {
						return
					}
				}
			})
			tg := target(flood)
			tg.Window = 10 * time.Second
			start := time.Now()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			held := conformance.Check{ID: "a", Run: func(_ context.Context, p *conformance.Probe) {
				c := p.Observed()[0]
				runtime.GC()
				runtime.ReadMemStats(&after)
				p.Pass("%d bytes, %d lines, %d events", len(c.Content()), len(c.Lines()), len(c.Events()))
			}}
			r, err := conformance.Run(t.Context(), tg, []conformance.Check{held}, conformance.Options{})
			if err != nil {
				t.Fatal(err)
			}
			const most = 128 << 20
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > most {
				t.Errorf("%d MiB held, more than %d", grown>>20, most>>20)
			} else {
				t.Logf("%s: %d MiB held, %v", r.Results[0].Message, grown>>20, time.Since(start))
			}
			if time.Since(start) > 8*time.Second {
				t.Error("the flood was read to the end of the window")
			}
		})
	}
}

// A target that lets every request hang costs a bounded time after the window, and what found no time says so.
func TestHangingTargetEndsInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tg := target(serve(ticking))
		tg.Window = 5 * time.Second
		var checks []conformance.Check
		for range 6 {
			checks = append(checks, conformance.Check{ID: "hangs", Run: func(ctx context.Context, p *conformance.Probe) {
				ctx, release, ok := p.Alone(ctx)
				if !ok {
					return
				}
				defer release()
				<-ctx.Done()
				p.Fail("silence")
			}})
		}
		start := time.Now()
		r, err := conformance.Run(t.Context(), tg, append(checks, pass("a")), conformance.Options{})
		if took := time.Since(start); err != nil || took > tg.Window+25*time.Second {
			t.Fatalf("took %v, error %v", took, err)
		}
		if s := r.Summary; s.Error != 0 || s.Fail != 3 || s.NotObserved != 3 {
			t.Errorf("%+v", s)
		}
	})
}
