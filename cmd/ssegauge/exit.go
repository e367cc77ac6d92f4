package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
)

// The exit codes: what scripts rely on. This file is the only place that knows them.
const (
	exitOK           = 0   // all is well
	exitFailed       = 1   // a check failed, a threshold failed, a comparison regressed, a baseline entry is stale
	exitUsage        = 2   // flags, profile, plan, template
	exitUnreachable  = 3   // the target could not be reached
	exitInconclusive = 4   // too little of the core set was decided, or the measurement is not valid
	exitInternal     = 5   // a fault of ssegauge itself
	exitInterrupted  = 130 // interrupted; the partial report was written
)

var errInterrupted = errors.New("interrupted")

// outcome is a run that finished and did not end well: its report is written already. The message may be empty.
type outcome struct {
	code    int
	message string
}

func (o *outcome) Error() string { return o.message }

// usageError is bad input: one line that says what was wrong, where, and what would be right.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// unreachableError is a target that could not be reached at all.
type unreachableError struct{ err error }

func (u *unreachableError) Error() string { return u.err.Error() }
func (u *unreachableError) Unwrap() error { return u.err }

// exitCode maps what a command returned to the code of the process.
func exitCode(err error) int {
	var (
		out         *outcome
		usage       *usageError
		unreachable *unreachableError
		dial        *wire.Error
		request     *wire.RequestError
		nobody      *conformance.UnreachableError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &out):
		return out.code
	case errors.As(err, &usage), errors.As(err, &request):
		return exitUsage
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &unreachable), errors.As(err, &nobody):
		return exitUnreachable
	case errors.As(err, &dial):
		var fault *wire.Fault
		var limit *wire.CapError
		if errors.As(err, &fault) || errors.As(err, &limit) {
			return exitFailed // somebody is there, and what it says is not HTTP
		}
		return exitUnreachable
	}
	return exitInternal
}

// plain rewrites the errors of the operating system and the network into one plain line.
func plain(err error) error {
	var (
		dns  *net.DNSError
		path *fs.PathError
		sys  syscall.Errno
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("no such host: %s (check the spelling of the URL)", dns.Name)
	case errors.As(err, &path):
		return fmt.Errorf("%s %s: %w", path.Op, path.Path, path.Err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &sys) && sys == syscall.ECONNREFUSED:
		return fmt.Errorf("%w (is the server running there?)", err)
	}
	return err
}
