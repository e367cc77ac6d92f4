package engine

import (
	"context"
	"net"
)

// Abrupt is dial, or where that is nil a net.Dialer's, with connections that are reset when they are closed, as those of [Target.Abrupt].
func Abrupt(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if c, ok := nc.(interface{ SetLinger(sec int) error }); ok && err == nil {
			_ = c.SetLinger(0)
		}
		return nc, err
	}
}
