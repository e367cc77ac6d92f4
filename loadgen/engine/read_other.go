//go:build !unix

package engine

import (
	"errors"
	"syscall"
)

// canTry is false where sockets cannot be read without waiting: a read then holds its buffer.
const canTry = false

var errAgain = errors.New("try again")

type aux struct{}

func enableStamps(uintptr) {}

func bindLate(uintptr) {}

func tryRead(uintptr, *buffer) (int, int64, error) { return 0, 0, errAgain }

func Narrow(uintptr) {}

func HungUp(syscall.RawConn) bool { return false }
