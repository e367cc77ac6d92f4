package loadgen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/plan"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

const (
	canaryStreams = 3
	canaryFrom    = 100 // streams: a smaller run is as light as its canary
	canaryRate    = 200 // events a second that are reported at most
	canaryEnd     = 2 * time.Second
)

// A canary is a process of its own with a few streams to the targets of the run: what it does not see and the run does is the generator's doing. It reads an order
// and then "go" on stdin, and ends when stdin does; it writes "e SEQ TIME" for each event, TIME on the shared clock, and "s OPENED CAUSE" at its end.

// canaryOrder is what a canary is told.
type canaryOrder struct {
	Targets []canaryTarget
	Streams int
	Run     string // id in the markers
	Every   uint32 // report each event whose number is a multiple of it
	Timeout time.Duration
}

// canaryTarget is an engine.Target that can be written down.
type canaryTarget struct {
	URL, Method, HTTP string
	Header            []string
	Body              []byte
	Addrs             []string
	TLS               wire.TLSFiles
}

func (c *canaryTarget) open() (engine.Target, error) {
	of := plan.Target{URL: c.URL, Method: c.Method, HTTP: c.HTTP, Header: c.Header, Insecure: c.TLS.Insecure, CACert: c.TLS.CACert, Cert: c.TLS.Cert, Key: c.TLS.Key}
	d, r, err := of.Open()
	if err != nil {
		return engine.Target{}, err
	}
	r.Body = c.Body
	t := engine.Target{Request: r, Proto: d.Proto, Addrs: c.Addrs}
	if r.URL.Scheme == "https" {
		t.TLS = clientTLS(d.TLS, r.URL.Hostname(), d.Proto)
	}
	return t, nil
}

// RunCanary is the canary: the whole of a process. It reads and writes what the run that started it wants, and returns when stdin ends.
func RunCanary(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("canary: no order: %w", err)
	}
	var order canaryOrder
	if err := json.Unmarshal(line, &order); err != nil {
		return fmt.Errorf("canary: order: %w", err)
	}
	targets := make([]engine.Target, len(order.Targets))
	for i := range order.Targets {
		if targets[i], err = order.Targets[i].open(); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err != nil { // the first of "go"
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // until the run that started this ends, however it does
		cancel()
	}()

	seen := make(chan arrival, 4096)
	marker := measure.NewMarker(order.Run)
	var board *measure.Board
	board = measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 1, Tap: func(data, id, typ []byte, at int64) {
		for _, field := range [...][]byte{data, id, typ} {
			if seq, intact, rest := marker.Find(field); rest != nil {
				if intact && seq%max(1, order.Every) == 0 {
					select {
					case seen <- arrival{seq, shared() - (board.Now() - at)}:
					default: // nobody reads: better none than one that holds up the stream
					}
				}
				return
			}
		}
	}})
	var writing sync.WaitGroup
	writing.Go(func() {
		out := bufio.NewWriter(stdout)
		for a := range seen {
			fmt.Fprintf(out, "e %d %d\n", a.seq, a.at)
			if len(seen) == 0 {
				out.Flush()
			}
		}
		out.Flush()
	})
	engine.Portable{}.Run(ctx, &engine.Job{
		Targets: targets, Openings: schedule.Linear(order.Streams, 0), Burst: true, StreamsPerConn: plan.DefaultStreamsPerConn, Timeout: order.Timeout, Board: board,
	})
	close(seen)
	writing.Wait()
	l := new(result.Load)
	board.Fill(l)
	cause := ""
	for c := range l.Streams.Failures {
		cause = c
	}
	_, err = fmt.Fprintf(stdout, "s %d %s\n", l.Streams.Opened, cause)
	return err
}

// arrival is an event that came: its number, and when by the shared clock.
type arrival struct {
	seq uint32
	at  int64
}

// canary is the run's end of one.
type canary struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	seen   *measure.Canary
	offset int64 // of the shared clock against the board's
	done   chan struct{}
	opened int
	note   string
}

// startCanary starts the canary of a run that is to have one; nil, and why, otherwise.
func (r *session) startCanary(run string) (*canary, string) {
	p := r.plan
	if r.canary == nil || p.Publish == nil || p.IsFinite() || r.openings < canaryFrom {
		return nil, ""
	}
	order := canaryOrder{Streams: canaryStreams, Run: run, Every: max(1, uint32(float64(p.Publish.Rate)/canaryRate)), Timeout: p.Timeout}
	for i, t := range r.targets {
		if t.Dial != nil {
			return nil, ""
		}
		of := p.Targets[i]
		c := canaryTarget{
			URL: t.Request.URL.String(), Method: t.Request.Method, HTTP: t.Proto.String(), Body: t.Request.Body, Addrs: t.Addrs,
			TLS: wire.TLSFiles{Insecure: of.Insecure || t.TLS != nil && t.TLS.InsecureSkipVerify, CACert: of.CACert, Cert: of.Cert, Key: of.Key},
		}
		for _, f := range t.Request.Header {
			c.Header = append(c.Header, f.Name+": "+f.Value)
		}
		order.Targets = append(order.Targets, c)
	}
	b, err := json.Marshal(order)
	if err != nil {
		return nil, "not started: " + err.Error()
	}
	cmd, err := r.canary()
	if err != nil {
		return nil, "not started: " + err.Error()
	}
	c := &canary{cmd: cmd, done: make(chan struct{}), seen: r.board.Canary()}
	var out io.ReadCloser
	if c.stdin, err = cmd.StdinPipe(); err == nil {
		if out, err = cmd.StdoutPipe(); err == nil {
			err = cmd.Start()
		}
	}
	if err != nil {
		return nil, "not started: " + err.Error()
	}
	c.offset = shared() - r.board.Now()
	go c.read(out)
	go c.order(append(b, '\n'), p.RampTime())
	return c, ""
}

// order tells it what to do, and to begin when the streams of the run, whose places it must not take, are open. Where nobody reads, its end says so.
func (c *canary) order(b []byte, ramp time.Duration) {
	began := time.Now()
	if _, err := c.stdin.Write(b); err != nil {
		return
	}
	select {
	case <-time.After(ramp - time.Since(began)):
		_, _ = io.WriteString(c.stdin, "go\n")
	case <-c.done:
	}
}

// read takes what it sees.
func (c *canary) read(out io.Reader) {
	defer close(c.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		first, second, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			continue
		}
		switch kind {
		case "e":
			if at, err := strconv.ParseInt(second, 10, 64); err == nil {
				c.seen.Arrived(uint32(n), at-c.offset)
			}
		case "s":
			c.opened, c.note = int(n), second
		}
	}
}

// end ends it and returns what it saw.
func (c *canary) end() *result.Canary {
	c.stdin.Close()
	late := time.AfterFunc(canaryEnd, func() { _ = c.cmd.Process.Kill() })
	<-c.done
	err := c.cmd.Wait()
	late.Stop()
	out := &result.Canary{Streams: c.opened, DeliverUS: c.seen.Quantiles()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		out.Note = "it failed: " + exit.Error()
	case err != nil:
		out.Note = "it failed: " + err.Error()
	case c.note != "":
		out.Note = c.note
	case out.DeliverUS.Count == 0:
		out.Note = "it received nothing"
	}
	return out
}
