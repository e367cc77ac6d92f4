package engine

import (
	"net"
	"testing"
	"time"
)

// The stamp of a read is exact for one event; every further one of the same read may be as old as the read was late.
func TestBlur(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(nc, small)
	for range 2 {
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := c.read(func([]byte) {}); err != nil {
			t.Fatal(err)
		}
		c.delay = time.Millisecond
		if first, second, third := c.blur(), c.blur(), c.blur(); first != 0 || second != int64(time.Millisecond) || third != second {
			t.Errorf("blur %d, %d, %d", first, second, third)
		}
	}
}
