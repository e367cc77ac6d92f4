package sse

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestTooLong(t *testing.T) {
	var d Decoder
	d.SetMax(10)
	var ev Event
	chunk := []byte("data: 1\n\ndata: 0123456789\n\ndata: 2\n\n")
	n, ok, err := d.Next(chunk, &ev)
	if n != 9 || !ok || err != nil {
		t.Fatal(n, ok, err)
	}
	_, ok, err = d.Next(chunk[n:], &ev)
	var tooLong *TooLongError
	if ok || !errors.As(err, &tooLong) || *tooLong != (TooLongError{Offset: 9, Limit: 10}) {
		t.Fatal(ok, err)
	}
	if !strings.Contains(err.Error(), "offset 9") || !strings.Contains(err.Error(), "10 bytes") {
		t.Error(err)
	}
	for range 2 {
		if n, ok, again := d.Next([]byte("\n\ndata: 3\n\n"), &ev); n != 0 || ok || again != err {
			t.Error("the error does not stick", n, ok, again)
		}
	}
	d.Reset(true)
	n, ok, err = d.Next([]byte("data: 3\n\n"), &ev)
	if n != 9 || !ok || err != nil || ev.Start != 0 {
		t.Error("Reset does not clear it", n, ok, err)
	}
	if _, _, err = d.Next([]byte("data: 0123456789"), &ev); err != nil {
		t.Error("the cap is met", err)
	}
	if _, _, err = d.Next([]byte("x"), &ev); err == nil {
		t.Error("Reset dropped the cap")
	}
}

// TestEndlessLineIsNotHeld: what a hostile peer can make the decoder hold is the cap, whatever it sends.
func TestEndlessLineIsNotHeld(t *testing.T) {
	for _, begin := range []string{"data: ", "id: ", "event: ", ": ", "foo: ", "endless", "retry: "} {
		for _, inspect := range []bool{false, true} {
			var d Decoder
			d.SetMax(1000)
			var ev Event
			next := func(s string) (err error) {
				if inspect {
					_, _, err = d.Inspect([]byte(s), &ev, func(*Line) {})
				} else {
					_, _, err = d.Next([]byte(s), &ev)
				}
				return err
			}
			err := next(begin)
			for range 100 {
				if err != nil {
					break
				}
				err = next(strings.Repeat("0", 100))
			}
			k := d.rec.block
			if held := cap(k.data) + cap(k.typ) + cap(k.id) + cap(k.scratch); held > 4*maxPooled {
				t.Errorf("%q: holds %d bytes", begin, held)
			}
			if used := len(k.data) + len(k.typ) + len(k.id) + len(k.scratch); used > 1000+MaxNote {
				t.Errorf("%q: uses %d bytes", begin, used)
			}
			var tooLong *TooLongError
			if named := begin[0] == 'd' || begin[0] == 'i' || begin[:2] == "ev"; errors.As(err, &tooLong) != named {
				t.Errorf("%q: error %v", begin, err)
			}
		}
	}
}

func TestSetMax(t *testing.T) {
	for _, tc := range []struct{ set, want int }{
		{0, DefaultMaxEvent},
		{-1, DefaultMaxEvent},
		{1, 1},
		{1 << 30, 1 << 30},
		{math.MaxInt, 1<<31 - 1},
	} {
		var d Decoder
		d.SetMax(tc.set)
		if d.limit() != tc.want {
			t.Errorf("SetMax(%d): %d, want %d", tc.set, d.limit(), tc.want)
		}
	}
}
