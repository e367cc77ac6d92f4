package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/plan"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

const (
	calibrationStreams = 1000 // at most
	calibrationWarm    = 500 * time.Millisecond
	calibrationTime    = 1500 * time.Millisecond // measured, after that
	calibrationWindow  = 16                      // events under way
	calibrationMost    = 20_000                  // events published a second
	calibrationOpening = 5 * time.Second
)

// calibrate finds out what this machine can receive from the built-in server, over the protocol of the run and as many streams of it as matter: events are published as fast as
// they arrive everywhere. nil where no sink was given.
func (r *session) calibrate(ctx context.Context) *result.Calibration {
	if r.sink == nil || r.plan.Publish == nil || r.plan.IsFinite() {
		return nil
	}
	proto := r.targets[0].Proto
	c := &result.Calibration{Streams: min(calibrationStreams, r.plan.Openings().Len()), HTTP: proto.String()}
	rate, err := r.receivable(ctx, proto, c.Streams)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		c.Note = "no calibration: " + result.MaskText(err.Error())
	}
	c.EventsPerSecond = rate
	debug.FreeOSMemory() // what it took is no memory of the run
	return c
}

// receivable measures it with a sink in a process of its own.
func (r *session) receivable(ctx context.Context, proto wire.Proto, streams int) (perSecond float64, err error) {
	cmd, err := r.sink(r.targets[0].TLS != nil)
	if err != nil {
		return 0, err
	}
	base, stop, err := StartServer(ctx, cmd)
	if err != nil {
		return 0, err
	}
	defer stop()
	of := plan.Target{URL: base + "/events?channel=calibration", HTTP: map[wire.Proto]string{wire.HTTP11: "1.1", wire.HTTP2: "2", wire.H2C: "h2c"}[proto], Insecure: true}
	d, req, err := of.Open()
	if err != nil {
		return 0, err
	}
	t := engine.Target{Request: req, Proto: proto, Addrs: []string{req.URL.Host}}
	if r.targets[0].TLS != nil {
		t.TLS = clientTLS(d.TLS, req.URL.Hostname(), proto)
	}

	rate := min(calibrationMost, max(1, 4_000_000/streams))
	// Events are due at that rate and published when there is room, so always later: the hour is that nothing counts as lost.
	events := schedule.Constant{PerSecond: float64(rate), For: calibrationWarm + calibrationTime + time.Second}
	board := measure.NewBoard(measure.Config{
		Workers: runtime.GOMAXPROCS(0), Streams: streams, Epoch: time.Now(), Events: events, Deadline: time.Hour, Marker: measure.NewMarker(runID()),
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		r.engine.Run(ctx, &engine.Job{
			Targets: []engine.Target{t}, Openings: schedule.Linear(streams, 0), Burst: true, StreamsPerConn: r.plan.StreamsPerConn, Timeout: calibrationOpening, Board: board,
		})
	})
	for end := time.Now().Add(calibrationOpening); board.Open() < streams; {
		if time.Now().After(end) || ctx.Err() != nil {
			return 0, fmt.Errorf("%d of %d streams to the built-in server opened within %v", board.Open(), streams, calibrationOpening)
		}
		time.Sleep(5 * time.Millisecond)
	}

	var next atomic.Uint32
	var failure atomic.Pointer[error]
	tr := &http.Transport{TLSClientConfig: d.TLS, MaxIdleConnsPerHost: calibrationWindow}
	defer tr.CloseIdleConnections()
	post := func(marker string) error {
		body := strings.NewReader(`{"data":"` + marker + `"}`)
		hr, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/publish?channel=calibration", body)
		if err != nil {
			return err
		}
		hr.Header.Set("Content-Type", "application/json")
		resp, err := tr.RoundTrip(hr)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body) // for the connection's next use
		if resp.StatusCode/100 != 2 {
			return errors.New("the built-in server refused an event: " + resp.Status)
		}
		return nil
	}
	var begin sync.Mutex
	publish := func() {
		for ctx.Err() == nil && failure.Load() == nil {
			begin.Lock()
			seq := next.Load()
			if int(seq) >= events.Len() || int64(seq)*int64(streams)-board.Received() >= calibrationWindow*int64(streams) || time.Duration(board.Now()) < events.At(int(seq)) {
				begin.Unlock()
				nap(100 * time.Microsecond)
				continue
			}
			marker, _, ok := board.Begin(seq)
			if ok {
				next.Add(1)
			}
			begin.Unlock()
			if !ok {
				nap(time.Millisecond)
				continue
			}
			board.Sent(seq, board.Now())
			if err := post(marker); err != nil {
				if ctx.Err() == nil {
					failure.Store(&err)
				}
				return
			}
			board.Done(seq, board.Now(), measure.Published, "")
		}
	}
	for range 4 {
		running.Go(publish)
	}
	at := func(d time.Duration) (received int64, when time.Time) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil && failure.Load() == nil; <-tick.C {
			board.Tick()
		}
		return board.Received(), time.Now()
	}
	from, began := at(calibrationWarm)
	to, ended := at(calibrationTime)
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return float64(to-from) / ended.Sub(began).Seconds(), nil
}

// StartServer starts cmd, which is to serve, to say "listening on URL" on its first line, and to end when its stdin does. It waits for that line until ctx is done;
// stop ends the server.
func StartServer(ctx context.Context, cmd *exec.Cmd) (base string, stop func(), err error) {
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	alive, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		alive.Close()
		late := time.AfterFunc(canaryEnd, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait() // how it ends is of no interest any more
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })() // one that says nothing ends nothing
	line, err := bufio.NewReader(out).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		stop()
		return "", nil, fmt.Errorf("the built-in server did not start: %s", strings.TrimSpace(complaints.String()))
	}
	return base, stop, nil
}
