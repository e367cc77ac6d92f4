package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

const (
	// answerTime is how long the first stream is watched: one that has ended by then is an answer, not a stream that is held.
	answerTime = time.Second
	// doneTime is how long it is watched further where events come, at most: answers of language models end with [DONE].
	doneTime = 9 * time.Second
)

// dear is from how many requests on a probe has to be named where each of them may cost: streams that end by themselves and are not to be had for a GET are calls.
const dear = 100

// costs tells why a probe is not run though it could: it would make so many calls.
func (s *Search) costs(p *Probe, requests int) string {
	if s.target.finite == "" || requests <= dear || len(s.config.Probes) > 0 {
		return ""
	}
	method := cmp.Or(s.target.request.Method, "GET")
	if method == "GET" || method == "HEAD" {
		return ""
	}
	return fmt.Sprintf("it would make up to %s calls (%s): --probe %s", result.Count(int64(requests)), result.Escape(short(method)), p.Name)
}

// attend watches the first stream, and tells whether streams end by themselves: t.finite says why that is so. The error is an *[AnswerError] where what comes is no stream.
func (t *contact) attend(ctx context.Context, c *Config, d *wire.Dialer, first *wire.Stream) error {
	if finite := c.Plan.Finite; finite != nil {
		if *finite {
			t.finite = "streams end by themselves (--finite)"
		}
		return nil
	}
	if c.Plan.IsFinite() {
		t.finite = fmt.Sprintf("streams that answer a %s end by themselves (--finite=false: they do not)", result.Escape(short(t.request.Method)))
		return nil
	}
	for s := first; ; {
		f, done := t.glimpse(ctx, s, min(doneTime, c.Budget/20))
		age := "at once"
		if d := f.Ended.Sub(f.Opened).Round(time.Millisecond); d > 0 {
			age = "after " + result.Quantity(d.Seconds(), "s")
		}
		switch {
		case f.Events == 0 && f.Bytes > int64(mostEvent):
			return &AnswerError{result.Mask(t.request.URL.String()), fmt.Sprintf("%s came, and not one event was complete", result.Bytes(float64(f.Bytes)))}
		case f.Ended.IsZero():
			return nil
		case errors.Is(f.Err, io.EOF) && done:
			t.finite = fmt.Sprintf("streams end by themselves (one did %s, with [DONE])", age)
			return nil
		case f.Ended.Sub(f.Opened) > answerTime, errors.Is(f.Err, io.EOF) && f.Events == 0: // for what reason, it is for the probes to find
			return nil
		case errors.Is(f.Err, io.EOF):
			t.finite = fmt.Sprintf("streams end by themselves (one did %s; --finite=false: they do not)", age)
			return nil
		case s != first:
			return &AnswerError{result.Mask(t.request.URL.String()), "it breaks off at once: " + printOf(f.Err).Says}
		}
		// Once may be an accident.
		again, err := d.Open(ctx, t.request)
		if err != nil {
			return nil
		}
		defer again.Close()
		s = again
	}
}

// glimpse reads a stream for a while, and longer where events come, or a long one is coming. done tells that its last event was [DONE].
func (t *contact) glimpse(ctx context.Context, s *wire.Stream, more time.Duration) (f Facts, done bool) {
	l := listen(s, func() {}, mostEvent, nil)
	defer l.Close()
	last := l.Await("[DONE]")
	for _, d := range []time.Duration{answerTime, more} {
		timer := time.NewTimer(d)
		select {
		case <-l.Done():
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if f = l.Facts(); f.Events == 0 && f.Bytes < h2MaxEvent || !l.Alive() {
			break
		}
	}
	select {
	case a := <-last:
		done = strings.TrimSpace(string(a.Data)) == "[DONE]"
	default:
	}
	return f, done
}
