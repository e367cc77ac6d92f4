package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestFramesManualWindow(t *testing.T) {
	f := started(t, FramesOptions{StreamWindow: 10, ManualWindow: true}, 2)
	s := newScript()
	s.settings()
	s.headers(1, false, ":status", "200")
	s.headers(3, false, ":status", "200")
	s.data(1, false, "0123456789")
	s.WriteDataPadded(3, false, []byte("ab"), make([]byte, 4))
	said(t, f, s)
	want(t, "padding alone is credited", outOf(t, f), []string{"SETTINGS ack", "WINDOW_UPDATE 3 5"})
	f.Credit(1, 4)
	f.Credit(0, 12)
	f.Credit(1, 0)
	f.Credit(99, 1)
	want(t, "credit", outOf(t, f), []string{"WINDOW_UPDATE 1 4", "WINDOW_UPDATE 0 12"})
	s.data(1, false, "abcd")
	want(t, "the window holds", said(t, f, s), []string{"body 1 abcd"})
	f.Cancel(1, CodeCancel)
	outOf(t, f)
	s.data(3, false, "x")
	f.Credit(1, 5)
	f.Credit(3, math.MaxUint32)
	want(t, "credit to the brim", outOf(t, f), []string{fmt.Sprintf("WINDOW_UPDATE 3 %d", maxWindow-8)})
	f.Credit(0, math.MaxUint32)
	if f.recvWin != maxWindow {
		t.Errorf("connection window %d", f.recvWin)
	}
}

func TestFramesUpload(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 300_000)
	f := NewFrames(FramesOptions{})
	f.Wrote(len(f.Out()))
	post := func() uint32 {
		id, err := f.Open(&Request{Method: "POST", URL: parseURL("http://h/"), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	post()
	full := []string{"HEADERS 1 false true", "DATA 1 false 16384", "DATA 1 false 16384", "DATA 1 false 16384", "DATA 1 false 16383"}
	want(t, "the first window", outOf(t, f), full)
	s := newScript()
	// The window shrinks below what went: it is negative now (RFC 9113 6.9.2).
	s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 60000}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20000})
	s.WriteWindowUpdate(0, 1_000_000)
	s.WriteWindowUpdate(1, 5535)
	said(t, f, s)
	want(t, "negative", outOf(t, f), []string{"SETTINGS ack"})
	s.WriteWindowUpdate(1, 1)
	said(t, f, s)
	want(t, "one byte", outOf(t, f), []string{"DATA 1 false 1"})
	s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100_000})
	said(t, f, s)
	want(t, "raised", outOf(t, f), []string{"SETTINGS ack", "DATA 1 false 20000", "DATA 1 false 20000"})
	s.WriteWindowUpdate(1, 1<<20)
	said(t, f, s)
	got := outOf(t, f)
	want(t, "the rest", got[len(got)-1], fmt.Sprintf("DATA 1 true %d", (300_000-65535-1-40_000)%20000))
	s.headers(1, true, ":status", "200")
	want(t, "the answer", said(t, f, s), []string{"head 1 200", "end 1"})

	// A stream is refused while it sends: nothing more goes.
	id := post()
	f.Cancel(id, CodeCancel)
	want(t, "uploads", len(f.uploads), 0)
	// The connection's window is overrun by one stream and serves the next.
	outOf(t, f)
	s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	said(t, f, s)
	outOf(t, f)
	a, b := post(), post()
	s.WriteWindowUpdate(b, 2)
	s.WriteWindowUpdate(a, 1)
	said(t, f, s)
	got = outOf(t, f)
	slices.Sort(got)
	want(t, "two uploads", got, []string{
		fmt.Sprintf("DATA %d false 1", a), fmt.Sprintf("DATA %d false 1", a), fmt.Sprintf("DATA %d false 1", b), fmt.Sprintf("DATA %d false 2", b),
		fmt.Sprintf("HEADERS %d false true", a), fmt.Sprintf("HEADERS %d false true", b),
	})
	s.WriteWindowUpdate(a, 1<<31-1)
	s.WriteWindowUpdate(a, 1<<31-1)
	want(t, "overflow", said(t, f, s)[1:], []string{fmt.Sprintf("broken %d h2/window-overflow", a), fmt.Sprintf("reset %d FLOW_CONTROL_ERROR", a)})
}

func TestFramesUploadBounded(t *testing.T) {
	f := NewFrames(FramesOptions{})
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<24 - 1})
	s.WriteWindowUpdate(0, 1<<30)
	said(t, f, s)
	if _, err := f.Open(&Request{Method: "PUT", URL: parseURL("http://h/"), Body: make([]byte, 10<<20)}); err != nil {
		t.Fatal(err)
	}
	total := 0
	for len(f.Out()) > 0 {
		if n := len(f.Out()); n > 4*maxQueued {
			t.Fatalf("%d bytes queued", n)
		}
		n := min(len(f.Out()), 1000)
		total += n
		f.Wrote(n)
	}
	if total < 10<<20 {
		t.Errorf("%d bytes written", total)
	}
}

func TestFramesAnswersBounded(t *testing.T) {
	f := started(t, FramesOptions{}, 1)
	s := newScript()
	s.settings()
	s.headers(1, false, ":status", "200")
	said(t, f, s)
	var r record
	var err error
	for range 10 * maxAnswers {
		s.WritePing(false, [8]byte{})
		s.data(1, false, "x") // so that it is no flood of nothing
		if err = r.feed(t, f, s.buf.Bytes()); err != nil {
			break
		}
		s.buf.Reset()
		r.lines = r.lines[:0]
	}
	var c *CapError
	if !errors.As(err, &c) || len(f.Out()) > 20*maxAnswers {
		t.Errorf("%v with %d bytes queued", err, len(f.Out()))
	}
}

func TestFramesAnswerBeforeBody(t *testing.T) {
	f := NewFrames(FramesOptions{})
	if _, err := f.Open(&Request{Method: "POST", URL: parseURL("http://h/"), Body: make([]byte, 100_000)}); err != nil {
		t.Fatal(err)
	}
	outOf(t, f)
	s := newScript()
	s.settings()
	s.headers(1, true, ":status", "413")
	s.WriteWindowUpdate(1, 50_000)
	s.WriteRSTStream(1, http2.ErrCodeNo)
	want(t, "items", said(t, f, s), []string{"settings", "head 1 413", "end 1"})
	want(t, "wrote", outOf(t, f), []string{"SETTINGS ack", "RST_STREAM 1 CANCEL"})
	want(t, "left", f.Active()+len(f.uploads)+len(f.streams.list), 0)
}

func TestFramesCreditWhenWritten(t *testing.T) {
	f := started(t, FramesOptions{ConnWindow: 65535}, 1)
	s := newScript()
	s.settings()
	s.headers(1, false, ":status", "200")
	said(t, f, s)
	outOf(t, f)
	for range 2 {
		s.data(1, false, strings.Repeat("x", flow))
	}
	said(t, f, s)
	f.Wrote(len(f.Out()) - 1)
	want(t, "all but a byte", f.recvWin, 65535-2*flow)
	f.Wrote(1)
	want(t, "all", f.recvWin, 65535)
}

func TestFramesKeepAlive(t *testing.T) {
	f := started(t, FramesOptions{}, 1)
	s := newScript()
	s.settings()
	for range 3 * maxIdle {
		s.WritePing(false, [8]byte{})
		said(t, f, s)
		f.Wrote(len(f.Out()))
	}
}

func TestFramesFatalWhileSending(t *testing.T) {
	f := NewFrames(FramesOptions{})
	if _, err := f.Open(&Request{Method: "POST", URL: parseURL("http://h/"), Body: make([]byte, 200_000)}); err != nil {
		t.Fatal(err)
	}
	outOf(t, f)
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	s.WriteWindowUpdate(0, 1<<20)
	s.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8))
	var r record
	err := r.feed(t, f, s.buf.Bytes())
	var fault *Fault
	if !errors.As(err, &fault) || fault.Code != FaultH2StreamID {
		t.Fatal(err)
	}
	got := outOf(t, f)
	want(t, "last words", got[len(got)-1], "GOAWAY 0 PROTOCOL_ERROR")
	f.Cancel(1, CodeCancel)
	f.Credit(0, 5)
	f.Ping([8]byte{})
	if _, err := f.Open(&Request{URL: parseURL("http://h/")}); err != error(fault) || len(f.Out()) > 0 {
		t.Errorf("after the end: %v, %d bytes", err, len(f.Out()))
	}
}

// TestFloodAnswered: that its frames are answered at once does not make a flood less of one; a question now and then, for days, is none.
func TestFloodAnswered(t *testing.T) {
	ask := func(atOnce, times int) error {
		f := NewFrames(FramesOptions{})
		in := appendFrameHead(nil, 0, frameSettings, 0, 0)
		for range times {
			for range atOnce {
				in = append(appendFrameHead(in, 8, framePing, 0, 0), make([]byte, 8)...)
			}
			for len(in) > 0 {
				var it Item
				n, err := f.Next(in, &it)
				if in = in[n:]; err != nil {
					return err
				}
			}
			in = in[:0]
			f.Wrote(len(f.Out()))
			f.Wrote(0)
		}
		return nil
	}
	var fault *Fault
	if err := ask(1000, 20); !errors.As(err, &fault) || fault.Code != FaultH2Flood {
		t.Errorf("20,000 PINGs, answered by the thousand: %v, want a flood", err)
	}
	if err := ask(1, 5*maxIdle); err != nil {
		t.Errorf("PINGs answered one by one: %v", err)
	}
}
