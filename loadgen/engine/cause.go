package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// Causes are short and stable, "phase: what", so that they can be counted and compared between runs. Text of the target is cut and escaped.

// CauseOf names why phase failed.
func CauseOf(phase wire.Phase, err error) string {
	var (
		dns     *net.DNSError
		errno   syscall.Errno
		alert   tls.AlertError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		fault   *wire.Fault
		capped  *wire.CapError
		long    *sse.TooLongError
		netErr  net.Error
	)
	p := string(phase) + ": "
	switch {
	case errors.Is(err, wire.ErrStreamLimit):
		return "h2: the peer allows fewer streams"
	case errors.Is(err, wire.ErrStreamIDs):
		return "h2: out of stream ids"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "resolve: no such host"
	case errors.As(err, &dns):
		return "resolve: failed"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return p + "timeout"
	case errors.As(err, &errno):
		return p + errno.Error()
	case errors.As(err, &alert):
		return "tls: alert: " + strings.TrimPrefix(alert.Error(), "tls: ")
	case errors.As(err, &host):
		return "tls: the certificate is for another host"
	case errors.As(err, &unknown):
		return "tls: certificate of an unknown authority"
	case errors.As(err, &invalid):
		return "tls: the certificate is not valid"
	case errors.As(err, &fault) && fault.Code == wire.FaultH2Preface:
		return "h2: the peer does not speak HTTP/2"
	case errors.As(err, &fault) && fault.Code == wire.FaultStatusLine && strings.Contains(fault.Detail, "as an HTTP/2 frame does"):
		return "head: HTTP/2 frames"
	case errors.As(err, &fault):
		return p + strings.TrimPrefix(string(fault.Code), string(phase)+"/")
	case errors.As(err, &capped):
		return p + capped.What + " too large"
	case errors.As(err, &long):
		return p + "event too large"
	case errors.As(err, &netErr) && netErr.Timeout():
		return p + "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return p + "connection closed"
	}
	if phase == wire.PhaseTLS {
		return "tls: no handshake"
	}
	return p + "failed"
}

// refusal says why the head of a response is not that of an event stream, "" if it is.
func refusal(h *wire.Head) string {
	if h.Status != 200 {
		return "head: status " + strconv.Itoa(h.Status)
	}
	typ, _, _ := strings.Cut(h.Header.Get("Content-Type"), ";")
	if typ = strings.Trim(typ, " \t"); !strings.EqualFold(typ, "text/event-stream") {
		if typ == "" {
			return "head: no content type"
		}
		return "head: content type " + short(strings.ToLower(typ))
	}
	if enc := strings.Trim(h.Header.Get("Content-Encoding"), " \t"); enc != "" && !strings.EqualFold(enc, "identity") {
		return "head: content encoding " + short(strings.ToLower(enc))
	}
	return ""
}

func short(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	s = strconv.QuoteToASCII(s)
	return s[1 : len(s)-1]
}

// cutCause splits a cause into phase and rest; phased is false where it has no phase.
func cutCause(cause string) (phase, rest string, phased bool) {
	phase, rest, phased = strings.Cut(cause, ": ")
	if !phased {
		return "", cause, false
	}
	return phase, rest, true
}
