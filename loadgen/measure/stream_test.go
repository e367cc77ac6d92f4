package measure

import (
	"testing"

	"pgregory.net/rapid"
)

// mark against a set of all numbers that ever came: in order, reordered and duplicate must be told apart whatever the distance, as long as the event is under way.
func TestMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint32Range(0, 100).Draw(t, "first")
		s := &Stream{opened: 1, first: first, high: first}
		came := map[uint32]bool{}
		high, base := first, uint32(0)
		next := first
		for range rapid.IntRange(1, 300).Draw(t, "arrivals") {
			var seq uint32
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0: // a gap
				next += rapid.Uint32Range(1, 200).Draw(t, "gap")
				seq, next = next, next+1
			case 1, 2: // something earlier
				seq = rapid.Uint32Range(first, max(first, next)).Draw(t, "earlier")
			case 3: // events are concluded
				base = max(base, rapid.Uint32Range(0, next).Draw(t, "base"))
				fallthrough
			default:
				seq, next = next, next+1
			}
			next = max(next, seq+1)
			got := s.mark(seq, base)
			var want arrival
			switch {
			case came[seq]:
				want = duplicate
			case seq >= high:
				want = inOrder
			default:
				want = reordered
			}
			if seq < base && (got == forgotten || want == reordered) {
				// Its deadline is over: to have forgotten which it was is allowed.
			} else if got != want {
				t.Fatalf("mark(%d) with base %d = %d, want %d; high was %d", seq, base, got, want, high)
			}
			came[seq] = true
			high = max(high, seq+1)
			for q := max(base, first); q < high+3; q++ {
				if s.has(q) != came[q] {
					t.Fatalf("has(%d) = %v after mark(%d), base %d", q, s.has(q), seq, base)
				}
			}
		}
		if s.more != nil && len(s.more.holes) > int(high-min(base, high)) {
			// Holes are pruned when the window moves, so the memory is bounded by what is under way at that time.
			t.Logf("%d holes with %d under way", len(s.more.holes), high-base)
		}
	})
}

func TestMarker(t *testing.T) {
	m := NewMarker("run1")
	rapid.Check(t, func(t *rapid.T) {
		seq := rapid.Uint32().Draw(t, "seq")
		tok := m.Of(seq)
		before := rapid.StringMatching(`[a-z0-9"{:-]*`).Draw(t, "before")
		after := rapid.StringMatching(`["}, ][a-z0-9-]*`).Draw(t, "after")
		got, intact, rest := m.Find([]byte(before + tok + after))
		if !intact || got != seq || string(rest) != after {
			t.Fatalf("Find(%q) = %d, %v, %q", before+tok+after, got, intact, rest)
		}
		// One digit changed: never taken for another event without a word. The check digit catches all but 1 in 36 at worst; of single changes all.
		i := rapid.IntRange(len("sg-run1-"), len(tok)-1).Draw(t, "i")
		bad := []byte(tok)
		bad[i] = base36[rapid.IntRange(0, 35).Draw(t, "digit")]
		if string(bad) != tok {
			if got, intact, _ := m.Find(bad); intact && got != seq {
				t.Fatalf("Find(%q) takes %q for %d", bad, tok, got)
			}
		}
	})
	for _, b := range []string{"", "sg-run1-", "sg-run1-1", "sg-run1-1-", "sg-run2-1-x", "sg-run1--", "sg-run1-zzzzzzzz-0", "sg-run1-01-" + string(m.check([]byte("01")))} {
		if seq, intact, _ := m.Find([]byte(b)); intact {
			t.Errorf("Find(%q) = %d", b, seq)
		}
	}
}

func TestOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o offsets
		v := rapid.SliceOfN(rapid.Int64Range(0, 3_600_000_000), 1, 200).Draw(t, "values")
		for _, us := range v {
			o.add(us, 1)
		}
		sorted := append([]int64(nil), v...)
		for i := range sorted {
			for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
				sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
			}
		}
		for n := 1; n <= len(v); n++ {
			got, want := o.rank(int64(n)), sorted[n-1]
			if d := float64(got - want); d > 0.008*float64(want)+1 || -d > 0.008*float64(want)+1 {
				t.Fatalf("rank(%d) = %d, want %d within 0.8 %%", n, got, want)
			}
		}
	})
}
