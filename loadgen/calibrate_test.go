package loadgen_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/server"
)

// sinkRole is this test binary as the built-in server.
func sinkRole() error {
	s, err := server.New(server.Config{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	scheme := "http"
	var config *tls.Config
	if os.Getenv(shapeEnv) == "tls" {
		cert, err := server.SelfSigned("localhost", "127.0.0.1")
		if err != nil {
			return err
		}
		scheme, config = "https", &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	fmt.Printf("listening on %s://%s\n", scheme, l.Addr())
	return s.Serve(ctx, l, config)
}

// silentRole is a sink that never says where it listens, and does not end with its stdin.
func silentRole() error {
	time.Sleep(time.Minute)
	return nil
}

func sink(secure bool) (*exec.Cmd, error) {
	cmd, err := again("sink")()
	if secure {
		cmd.Env = append(cmd.Env, shapeEnv+"=tls")
	}
	return cmd, err
}

// A run is calibrated over its own protocol, by at most a thousand streams; a sink that does not come up is a note. What the calibration did is in no other figure.
func TestCalibration(t *testing.T) {
	cert, err := server.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := "http://"+serve(t, nil), "https://"+serve(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	for _, c := range []struct {
		base, http string
		sink       func(bool) (*exec.Cmd, error)
		note       string
	}{
		{plain, "1.1", sink, ""},
		{plain, "h2c", sink, ""},
		{secure, "2", sink, ""},
		{plain, "1.1", func(bool) (*exec.Cmd, error) { return nil, io.ErrUnexpectedEOF }, "no calibration: unexpected EOF"},
		{plain, "1.1", func(bool) (*exec.Cmd, error) { return again("fails")() }, "no calibration: the built-in server did not start: no"},
	} {
		t.Run(c.http+c.note, func(t *testing.T) {
			t.Parallel()
			publish := publishTo(c.base)
			channel := url.QueryEscape(c.http + c.note) // of its own: these run beside each other
			publish.HTTP, publish.Deadline = "POST "+c.base+"/publish?channel="+channel, time.Minute
			p := &plan.Plan{
				Targets: []plan.Target{{URL: c.base + "/events?channel=" + channel, HTTP: c.http, Insecure: true}}, Streams: 20, Ramp: 100 * time.Millisecond, Hold: 500 * time.Millisecond, Publish: publish,
			}
			phase := ""
			l, err := loadgen.Run(t.Context(), p, func(s loadgen.Snapshot) {
				if phase == "" {
					phase = s.Phase
				}
			}, loadgen.WithCalibration(c.sink))
			if err != nil {
				t.Fatal(err)
			}
			got := l.Generator.Calibration
			if got == nil || got.Note != c.note || (got.EventsPerSecond > 0) != (c.note == "") || got.Streams != 20 || got.HTTP != c.http || phase != "calibrating" {
				t.Errorf("%+v; want note %q; first phase %q", got, c.note, phase)
			}
			if l.Streams.Opened != 20 || l.Events.Published > 25 || l.Events.Received > 500 {
				t.Errorf("%+v %+v", l.Streams, l.Events)
			}
		})
	}
}

// Where nothing is published nothing is asked for, and nobody calibrates; an interrupt in the middle is one.
func TestNoCalibration(t *testing.T) {
	base := "http://" + serve(t, nil)
	p := &plan.Plan{Targets: []plan.Target{{URL: base + "/tick?interval=50ms"}}, Streams: 2, Ramp: 100 * time.Millisecond, Hold: 200 * time.Millisecond}
	l, err := loadgen.Run(t.Context(), p, nil, loadgen.WithCalibration(func(bool) (*exec.Cmd, error) {
		t.Error("started")
		return nil, io.EOF
	}))
	if err != nil || l.Generator.Calibration != nil {
		t.Errorf("%+v, %v", l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p = &plan.Plan{Targets: []plan.Target{{URL: base + "/events?channel=a"}}, Streams: 20, Hold: time.Hour, Publish: publishTo(base)}
	time.AfterFunc(200*time.Millisecond, cancel)
	l, err = loadgen.Run(ctx, p, nil, loadgen.WithCalibration(sink))
	if err == nil || l != nil && l.Generator.Calibration != nil && !strings.HasPrefix(l.Generator.Calibration.Note, "no calibration") {
		t.Errorf("%+v, %v", l, err)
	}
}

// An interrupt ends the wait for a sink that says nothing, and no stream has failed that was never begun.
func TestCalibrationInterrupted(t *testing.T) {
	base := "http://" + serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &plan.Plan{Targets: []plan.Target{{URL: base + "/events?channel=a"}}, Streams: 3, Ramp: -1, Hold: time.Hour, Publish: publishTo(base)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l, err := loadgen.Run(ctx, p, func(loadgen.Snapshot) { time.AfterFunc(100*time.Millisecond, cancel) }, loadgen.WithCalibration(func(bool) (*exec.Cmd, error) { return again("silent")() }))
		if err == nil || l == nil || l.Streams.Failed != 0 || l.Streams.Opened != 0 || len(l.Validity.Reasons) != 1 || !strings.Contains(l.Validity.Reasons[0], "the run was interrupted before") {
			t.Errorf("%+v, %v", l, err)
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the run waits for the sink")
	}
}
