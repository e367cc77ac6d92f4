package measure

import (
	"bytes"
	"strconv"
	"strings"
)

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

// Marker makes and finds the tokens that tie what a receiver got to what was published: "sg-RUN-SEQ-C", with the run's id and the event's
// number in base 36 and a check digit. It is plain ASCII without anything that JSON, HTML, URLs or forms would escape, so it survives whatever
// shape the target gives the payload, and it is looked for as a substring in raw bytes.
type Marker struct {
	prefix []byte // "sg-RUN-": unique to the run, so that an earlier run's events are not ours
}

// NewMarker makes markers for a run; run is a short id of base-36 digits.
func NewMarker(run string) Marker { return Marker{prefix: []byte("sg-" + run + "-")} }

// Of is the marker of event seq.
func (m Marker) Of(seq uint32) string {
	b := strconv.AppendUint(bytes.Clone(m.prefix), uint64(seq), 36)
	return string(append(b, '-', m.check(b[len(m.prefix):])))
}

// check weighs each digit by its place, modulo the prime 37, so that one wrong digit and two neighbours swapped always show. The 37th remainder is written A.
func (m Marker) check(digits []byte) byte {
	sum := len(digits)
	for _, c := range m.prefix {
		sum = (2*sum + int(c)) % 37
	}
	for _, c := range digits {
		sum = (2*sum + strings.IndexByte(base36, c)) % 37
	}
	return (base36 + "A")[sum]
}

// Find looks for the next marker of the run in b. rest is what follows it, nil if there is none. intact is false for our prefix with a number or check
// digit that is not right: a marker that the target cut or changed.
func (m Marker) Find(b []byte) (seq uint32, intact bool, rest []byte) {
	i := bytes.Index(b, m.prefix)
	if i < 0 {
		return 0, false, nil
	}
	b = b[i+len(m.prefix):]
	var v uint64
	n := 0
	for n < len(b) && n < 8 {
		d := strings.IndexByte(base36, b[n])
		if d < 0 {
			break
		}
		v = v*36 + uint64(d)
		n++
	}
	if n == 0 || n+1 >= len(b) || b[n] != '-' || b[n+1] != m.check(b[:n]) || v > 1<<32-1 || n > 1 && b[0] == '0' {
		return 0, false, b
	}
	return uint32(v), true, b[n+2:]
}
