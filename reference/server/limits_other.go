//go:build !unix

package server

import (
	"errors"
	"net"
)

func setBacklog(net.Listener, int) error { return errors.ErrUnsupported }
