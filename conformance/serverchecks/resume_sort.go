package serverchecks

import (
	"bytes"
	"time"

	"ssegauge/conformance"
)

// sorted is what the events of a new connection are, held against those of the control.
type sorted struct {
	replayed map[int]bool        // index into missed: came again
	disorder *conformance.Event  // that came again before one it had followed
	unlike   []twin              // came again, and not quite as it was
	renamed  []conformance.Event // other content under the id of one that was missed
	gotK     *conformance.Event
	earlier  int // came again from before K
	stale    int // other content under ids from before K, or under K
	unknown  int // neither of these: new, or from before the control
	came     int // all of them
	repeats  []twin
}

// twin is one event as it came first and as it came again.
type twin struct {
	live, again conformance.Event
	alike       bool // known by its data alone: the ids differ, and it may be another event that says the same
}

// past is how many came that stand before what was missed, or are called so.
func (s *sorted) past() int {
	n := s.earlier + s.stale
	if s.gotK != nil {
		n++
	}
	return n
}

// seen is what the control saw, by what tells one event from others; -1: more than one.
type seen struct {
	all                   []conformance.Event // up to K, K, and what was missed
	byID, byNonce, byData map[string]int
}

func (r *resumption) index() *seen {
	if r.seen != nil {
		return r.seen
	}
	x := &seen{byID: map[string]int{}, byNonce: map[string]int{}, byData: map[string]int{}}
	x.all = append(append(r.before[:len(r.before):len(r.before)], r.k), r.missed...)
	for _, e := range r.control.Events() {
		n := conformance.NonceOf(e.Data)
		if _, twice := x.byNonce[n]; twice || n == "" {
			x.byNonce[n] = -1 // a publish may have come as several events
			continue
		}
		x.byNonce[n] = -2 // one, wherever it stands
	}
	for i := range x.all {
		e := &x.all[i]
		if _, twice := x.byID[string(e.ID)]; twice {
			x.byID[string(e.ID)] = -1
		} else if named(e) {
			x.byID[string(e.ID)] = i
		}
		if n := conformance.NonceOf(e.Data); n != "" {
			if x.byNonce[n] == -2 {
				x.byNonce[n] = i
			}
		} else if _, twice := x.byData[string(e.Data)]; twice || len(e.Data) < tellingData || !named(e) {
			x.byData[string(e.Data)] = -1
		} else {
			x.byData[string(e.Data)] = i
		}
	}
	r.seen = x
	return x
}

// sort says what the events of the new connection are. What the run published is known by its word, all else by its id and data; where an id is unknown, by long data that
// stands for one event alone.
func (r *resumption) sort(got []conformance.Event) {
	r.sorted = sorted{came: len(got), replayed: map[int]bool{}}
	x, k := r.index(), len(r.before)
	all := x.all
	last := -1
	for i := range got {
		e := &got[i]
		at, same, alike := -1, false, false
		if j, ok := x.byID[string(e.ID)]; ok && j >= 0 && named(e) {
			at, same = j, sameData(e, &all[j])
		}
		if !same {
			n := conformance.NonceOf(e.Data)
			if j, ok := x.byNonce[n]; ok && j >= 0 {
				at, same = j, true
			} else if j, ok := x.byData[string(e.Data)]; ok && n == "" && j >= 0 && named(e) && at < 0 {
				at, same, alike = j, true, true
			}
		}
		switch {
		case at < 0:
			r.unknown++
			continue
		case !same && at > k:
			r.renamed = append(r.renamed, *e)
			r.repeats = append(r.repeats, twin{all[at], *e, alike})
			continue
		case !same:
			r.stale++
			r.repeats = append(r.repeats, twin{all[at], *e, alike})
			continue
		}
		r.repeats = append(r.repeats, twin{all[at], *e, alike})
		switch j := at - k - 1; {
		case at < k:
			r.earlier++
		case at == k:
			r.gotK = e
		default:
			if j < last && !r.replayed[j] && r.disorder == nil {
				r.disorder = e
			}
			if live := &r.missed[j]; !alike && (!bytes.Equal(e.Data, live.Data) || !bytes.Equal(e.Type, live.Type) || !bytes.Equal(e.ID, live.ID)) {
				r.unlike = append(r.unlike, twin{live: *live, again: *e})
			}
			r.replayed[j], last = true, max(last, j)
		}
	}
}

// tellingData is how long data must be, in bytes, to tell one event from others.
const tellingData = 64

// paced tells whether what came again came apart, as it did at first: a history comes at once, and so does a greeting.
func (r *resumption) paced() bool {
	switch n := len(r.repeats); n {
	case 0:
		return false
	case 1:
		return len(r.replayed) == 0 && r.repeats[0].again.At-r.again.Timing.Head >= visitPause/3
	default:
		first, last := r.repeats[0], r.repeats[n-1]
		live, again := last.live.At-first.live.At, last.again.At-first.again.At
		return again >= live/2 && again >= leastPace*time.Duration(n-1)
	}
}

// leastPace is how far apart, on average, events come that are made anew.
const leastPace = 5 * time.Millisecond

// sameData tells whether two events are one: the same bytes, or the same publish in a wrapping that changes.
func sameData(a, b *conformance.Event) bool {
	if bytes.Equal(a.Data, b.Data) {
		return true
	}
	nonce := conformance.NonceOf(a.Data)
	return nonce != "" && nonce == conformance.NonceOf(b.Data)
}

// missing is the first event that was missed and did not come again.
func (r *resumption) missing() conformance.Event {
	for i, e := range r.missed {
		if !r.replayed[i] {
			return e
		}
	}
	return r.k
}

// lost lists what was missed and did not come again.
func (r *resumption) lost() (lost []conformance.Event) {
	for i, e := range r.missed {
		if !r.replayed[i] {
			lost = append(lost, e)
		}
	}
	return lost
}
