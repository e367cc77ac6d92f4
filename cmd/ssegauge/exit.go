package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
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

// gravest are the exit codes, the gravest first.
var gravest = []int{exitInterrupted, exitInternal, exitUsage, exitFailed, exitUnreachable, exitInconclusive}

// worst is one error of several, nil among them: the exit code of the gravest, with what all of them say.
func worst(errs []error) error {
	var all []error
	var says []string
	for _, err := range errs {
		if err == nil {
			continue
		}
		all = append(all, err)
		if s := err.Error(); s != "" && !slices.Contains(says, s) {
			says = append(says, s)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	code := slices.IndexFunc(gravest, func(code int) bool {
		return slices.ContainsFunc(all, func(err error) bool { return exitCode(err) == code })
	})
	return &outcome{gravest[code], strings.Join(says, "; ")}
}

// plainError says in plain words what an error of the operating system or the network means; the error itself, and so the exit
// code, stays reachable.
type plainError struct {
	words string
	err   error
}

func (p *plainError) Error() string { return p.words }
func (p *plainError) Unwrap() error { return p.err }

func plain(err error) error {
	var (
		dns  *net.DNSError
		path *fs.PathError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return &plainError{"no such host: " + dns.Name + " (check the spelling of the URL)", err}
	case errors.As(err, &path):
		return &plainError{path.Op + " " + path.Path + ": " + path.Err.Error(), err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &plainError{err.Error() + " (is the server running there?)", err}
	}
	return err
}
