package engine

import (
	"net"
	"testing"
	"time"

	"ssegauge/loadgen/measure"
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
	c := newConn(nc, small, measure.NewBoard(measure.Config{Epoch: time.Now()}))
	for range 2 {
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := c.read(func([]byte) {}); err != nil {
			t.Fatal(err)
		}
		c.arr.blur = int64(time.Millisecond)
		if first, second, third := c.arr.next(), c.arr.next(), c.arr.next(); first != 0 || second != int64(time.Millisecond) || third != second {
			t.Errorf("blur %d, %d, %d", first, second, third)
		}
	}
}
