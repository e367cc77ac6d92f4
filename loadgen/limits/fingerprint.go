package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"ssegauge/loadgen/engine"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Fingerprint is what a failed opening or a lost stream looks like, and so whose limit it is.
type Fingerprint struct {
	Cause string // as a load run counts it: "head: status 503"
	Owner string // generator, path, target; "" where the failure alone does not tell
	Says  string // one line for a person, with the target's own words where it gave some
}

// printOf takes the print of why a stream could not be opened, or ended.
func printOf(err error) Fingerprint {
	var (
		refused *refusedError
		e       *wire.Error
		reset   *wire.ResetError
		goaway  *wire.GoAwayError
		fault   *wire.Fault
	)
	phase := wire.PhaseBody
	if errors.As(err, &e) {
		phase = e.Phase
	}
	switch {
	case errors.As(err, &refused):
		return refused.Fingerprint
	case ours(err):
		return Fingerprint{Cause: string(phase) + ": " + err.Error(), Owner: result.OwnerGenerator, Says: "this machine could open no more: " + err.Error()}
	case errors.As(err, &reset):
		return Fingerprint{Cause: "h2: " + reset.Code.String(), Owner: result.OwnerTarget, Says: "the stream is reset with " + reset.Code.String()}
	case errors.As(err, &goaway):
		says := fmt.Sprintf("the connection is told to go: GOAWAY %v, last stream %d", goaway.Code, goaway.Last)
		if goaway.Debug != "" {
			says += fmt.Sprintf(", %q", short(goaway.Debug))
		}
		return Fingerprint{Cause: "h2: GOAWAY " + goaway.Code.String(), Owner: result.OwnerTarget, Says: says}
	case phase == wire.PhaseBody && errors.Is(err, io.EOF):
		return Fingerprint{Cause: "closed: end of the response", Says: "the response ends as it should"}
	case phase == wire.PhaseHead && errors.Is(err, wire.ErrNoResponse):
		return ofCause("head: connection closed")
	case phase == wire.PhaseHead && errors.As(err, &fault) && fault.Code == wire.FaultH2Incomplete:
		return Fingerprint{Cause: "h2: connection closed", Says: "the connection is closed before an answer"}
	case phase == wire.PhaseBody && errors.As(err, &fault):
		return Fingerprint{Cause: "closed: " + string(fault.Code), Says: "the response is cut short: " + fault.Detail}
	}
	return ofCause(engine.CauseOf(phase, err))
}

// ofCause takes the print of a failure as a load run counts it.
func ofCause(cause string) Fingerprint {
	known := result.Explain(cause)
	f := Fingerprint{Cause: cause, Owner: known.Owner, Says: cause}
	if known.Meaning != "" {
		f.Says += ": " + known.Meaning
	}
	return f
}

// ofHead takes the print of an answer that is no stream; ok is false where it is one.
func ofHead(h *wire.Head) (f Fingerprint, ok bool) {
	mediaType, _, _ := strings.Cut(h.Header.Get("Content-Type"), ";")
	switch {
	case h.Status != 200:
		f = ofCause(fmt.Sprintf("head: status %d", h.Status))
		f.Says = strings.TrimSpace(fmt.Sprintf("answered %d %s", h.Status, short(h.Reason)))
		if after := h.Header.Get("Retry-After"); after != "" {
			f.Says += ", Retry-After: " + short(after)
		}
	case !strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream"):
		f = ofCause("head: content type " + short(mediaType))
		f.Says = fmt.Sprintf("answered with the media type %q", short(mediaType))
	default:
		return f, false
	}
	if by := h.Header.Get("Server"); by != "" {
		f.Says += " (Server: " + short(by) + ")"
	}
	return f, true
}

// ours tells whether it is this machine that could not.
func ours(err error) bool {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// silent tells whether an error is that nothing came in time.
func silent(err error) bool {
	var t *wire.TimeoutError
	var n net.Error
	return errors.As(err, &t) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// short keeps the words of a target to a line's share.
func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return s
}
