package measure

import (
	"slices"
	"sort"
)

// numbers is a set of event numbers, as ascending ranges that do not touch. Of numbers that come in order it is one range.
type numbers []span

// span is the numbers from <= n < to.
type span struct{ from, to uint32 }

// maxSpans bounds what a receiver of a target that loses every other event is remembered with: past it the oldest gaps are forgotten, as if they had been filled.
const maxSpans = 4096

// at is the index of the first span that ends after n.
func (s numbers) at(n uint32) int {
	if k := len(s); k > 0 && s[k-1].from <= n { // by far the most frequent case
		if n < s[k-1].to {
			return k - 1
		}
		return k
	}
	return sort.Search(len(s), func(i int) bool { return s[i].to > n })
}

// add puts n into the set; false if it was there.
func (s *numbers) add(n uint32) bool {
	i := s.at(n)
	if i < len(*s) && (*s)[i].from <= n {
		return false
	}
	s.put(i, n, n+1)
	return true
}

// addRange puts from <= n < to into the set, none of which is there.
func (s *numbers) addRange(from, to uint32) {
	if from < to {
		s.put(s.at(from), from, to)
	}
}

// put puts a range into the set in front of span i, where it belongs.
func (s *numbers) put(i int, from, to uint32) {
	l := *s
	before, after := i > 0 && l[i-1].to == from, i < len(l) && l[i].from == to
	switch {
	case before && after:
		l[i-1].to = l[i].to
		*s = slices.Delete(l, i, i+1)
	case before:
		l[i-1].to = to
	case after:
		l[i].from = from
	default:
		*s = slices.Insert(l, i, span{from, to})
		if l = *s; len(l) > maxSpans {
			l[1].from = l[0].from
			*s = slices.Delete(l, 0, 1)
		}
	}
}

// remove takes n out of the set; false if it was not there.
func (s *numbers) remove(n uint32) bool {
	l := *s
	i := l.at(n)
	if i == len(l) || l[i].from > n {
		return false
	}
	switch p := &l[i]; {
	case p.from == n && p.to == n+1:
		*s = slices.Delete(l, i, i+1)
	case p.from == n:
		p.from++
	case p.to == n+1:
		p.to--
	default:
		from := p.from
		p.from = n + 1
		*s = slices.Insert(l, i, span{from, n})
	}
	return true
}

// within counts the numbers of the set in from <= n < to.
func (s numbers) within(from, to uint32) int64 {
	n := int64(0)
	for _, p := range s[s.at(from):] {
		if p.from >= to {
			break
		}
		n += int64(min(p.to, to)) - int64(max(p.from, from))
	}
	return n
}

// without counts the numbers of the set below end that are not in o.
func (s numbers) without(o numbers, end uint32) (n int64) {
	for _, p := range s {
		if to := min(p.to, end); to > p.from {
			n += int64(to-p.from) - o.within(p.from, to)
		}
	}
	return n
}
