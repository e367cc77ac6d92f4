package measure

import (
	"math"
	"slices"
	"time"
)

// conclusionDelay is how long after an event's deadline it is concluded: what was read before the deadline has been recorded by then.
const conclusionDelay = 500 * time.Millisecond

// Tick concludes events: those that every eligible receiver has, and those whose deadline is over. It is called about ten times a second.
func (b *Board) Tick() { b.conclude(b.Now(), false) }

// Settled tells whether no event is under way, and nobody is to be waited for who missed some.
func (b *Board) Settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return (b.base == b.begun.Load() || b.observer != nil) && !(b.returns.on && b.mending(b.Now())) // of what others publish there is always more
}

// Finish concludes everything at the end of the run. What is still within its deadline, because the run was cut short, is neither delivered nor lost.
func (b *Board) Finish() { b.conclude(b.Now(), true) }

func (b *Board) conclude(now int64, end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.workers {
		r.Lock()
		defer r.Unlock()
		r.utf8 = utf8Budget
	}
	if o := b.observer; o != nil {
		o.twins, o.both = 0, 0
		for _, r := range b.workers {
			o.twins, o.both = o.twins+r.n.twins, o.both+r.n.both
		}
	}
	begun := b.begun.Load()
	eligible := b.eligible
	contiguous := true
	for i := range b.workers {
		b.workers[i].joined = 0
	}
	for q := b.base; q < begun; q++ {
		var arrived, missed int
		for _, r := range b.workers {
			eligible += r.diff[q] + r.joinUntil(b.slot(q).intended)
			arrived += int(r.shard(q).arrived)
			missed += int(r.shard(q).missed)
		}
		slot := b.slot(q)
		if !slot.over {
			overdue := now > slot.intended+b.deadline+int64(conclusionDelay)
			// What was refused or failed has no receivers to wait for.
			complete := slot.outcome > Published || slot.outcome == Published && arrived+missed >= eligible
			if complete || overdue || end {
				b.judge(q, slot, eligible-missed, arrived, complete || overdue)
			}
		}
		if contiguous = contiguous && slot.over; contiguous {
			b.eligible = eligible
			b.forget(q)
		}
	}
	if b.returns.on {
		b.settleGaps(now, end)
	}
}

// judge counts event q, of which receivers should have it and arrived do. decided is false for one that the end of the run cut short.
func (b *Board) judge(q uint32, slot *slot, receivers, arrived int, decided bool) {
	slot.over = true
	defer b.bias.reset()
	for _, r := range b.workers {
		sh := r.shard(q)
		sh.over = true
		if sh.pairs != nil {
			b.bias.pairs = append(b.bias.pairs, sh.pairs...)
			r.pairs = append(r.pairs, sh.pairs[:0])
			sh.pairs = nil
		}
		if sh.arrived == 1 {
			b.merged.add(sh.min/1000, 1)
		}
		if sh.at != nil {
			b.merged.merge(sh.at)
			sh.at.reset()
			r.spare = append(r.spare, sh.at)
			sh.at = nil
		}
	}
	defer b.merged.reset()
	seen := slot.seen.Load()
	outcome := slot.outcome
	if outcome == Pending && seen {
		outcome = Published // no answer to the publish yet, but there it is
	}
	t := &b.total
	if q < b.warm {
		if outcome == Published && receivers > 0 && decided {
			t.warm++
			if !seen {
				t.warmUnmatched++
			}
		}
		return
	}
	if outcome != Published && b.returns.on {
		b.returns.void.add(q)
	}
	switch outcome {
	case Refused:
		t.refused++
		return
	case Failed, Pending:
		t.failed++
		return
	}
	if o := b.observer; o != nil && decided && o.setAside(q, arrived, receivers) {
		return
	}
	t.published++
	t.eligible += int64(arrived)
	if !decided {
		if arrived < receivers {
			t.undecided++
			return
		}
	}
	if receivers <= 0 {
		return
	}
	lost := max(0, receivers-arrived)
	t.eligible += int64(lost)
	t.lost += int64(lost)
	if !seen {
		t.unmatched++
	}
	b.bias.add()
	if b.observer != nil {
		b.sight(q, int64(arrived), int64(arrived+lost))
		return
	}
	e := keptEvent{seq: q, due: slot.intended, arrived: int64(arrived), lost: int64(lost)}
	e.t50, e.t99 = b.completion(q, e.arrived, e.arrived+e.lost)
	b.seconds.concluded = append(b.seconds.concluded, e.t99)
	b.kept.add(e, b.merged)
}

// completions are the shares of the receivers, in percent, that completion is told of.
var completions = [...]struct {
	name  string
	share int64
}{{"fanout_t50", 50}, {"fanout_t90", 90}, {"fanout_t99", 99}, {"fanout_t100", 100}}

func (b *Board) neverReached(name string) {
	if b.total.never == nil {
		b.total.never = map[string]int64{}
	}
	b.total.never[name]++
}

// completion records when shares of the receivers of q had it. An event of which so many are missing that the share was never reached is infinitely late: it is
// counted, and stands in no histogram. It returns two of the times in us, the deadline where that share was never reached.
func (b *Board) completion(q uint32, arrived, receivers int64) (t50, t99 float64) {
	first, last := b.extremes(q)
	for _, c := range completions {
		rank := (receivers*c.share + 99) / 100
		took := b.deadline
		switch {
		case rank > arrived:
			b.neverReached(c.name)
		case rank == arrived:
			took = last // the slowest is known exactly
			b.record(c.name, took)
		default:
			took = min(max(b.merged.rank(rank)*1000, first), last)
			b.record(c.name, took)
		}
		switch c.share {
		case 50:
			t50 = float64(took) / 1000
		case 99:
			t99 = float64(took) / 1000
		}
	}
	if arrived > 0 {
		b.spread(first, last, arrived)
	}
	return t50, t99
}

// spread records how far apart the receivers of an event had it.
func (b *Board) spread(first, last, arrived int64) {
	b.record("spread", last-first)
	b.seconds.spreads = append(b.seconds.spreads, float64(last-first)/1000)
	b.record("skew_p50", b.after(first, last, arrived, 50))
	b.record("skew_p99", b.after(first, last, arrived, 99))
}

// extremes are the offsets of the first and the last receiver of q.
func (b *Board) extremes(q uint32) (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	for _, r := range b.workers {
		if sh := r.shard(q); sh.arrived > 0 {
			first, last = min(first, sh.min), max(last, sh.max)
		}
	}
	return first, last
}

// after is how long after the first of the arrived receivers a share of them, in percent, had the event.
func (b *Board) after(first, last, arrived, share int64) int64 {
	rank := (arrived*share + 99) / 100
	if rank == arrived {
		return last - first
	}
	return min(max(b.merged.rank(rank)*1000, first), last) - first
}

// forget frees the place of q for a later event.
func (b *Board) forget(q uint32) {
	if b.observer != nil {
		b.observer.forget(q)
	}
	for _, r := range b.workers {
		r.joins, r.joined = slices.Delete(r.joins, 0, r.joined), 0
		delete(r.diff, q)
		*r.shard(q) = shard{}
		r.base = q + 1
	}
	s := b.slot(q)
	s.intended, s.outcome, s.over = 0, Pending, false
	s.sent.Store(0)
	s.done.Store(0)
	s.seen.Store(false)
	b.base = q + 1
}
