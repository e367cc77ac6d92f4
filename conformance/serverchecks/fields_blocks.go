package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// block is what stands before a blank line, of what the target wrote of itself: no payload of ours had a part in it but plain words.
type block struct {
	conn  *conformance.Connection
	lines []conformance.Line // without the blank one
	end   int64
	event *conformance.Event // nil: nothing was dispatched
}

// blocks returns the complete blocks of the observation; it is shared by the checks.
func blocks(p *conformance.Probe, conns []*conformance.Connection) []block {
	return p.Once("blocks", func() any {
		var all []block
		for _, c := range conns {
			all = append(all, blocksOf(c)...)
		}
		return all
	}).([]block)
}

func blocksOf(c *conformance.Connection) (found []block) {
	natural := map[int64]bool{}
	for _, l := range c.Natural() {
		natural[l.Start] = true
	}
	events := map[int64]*conformance.Event{}
	evs := c.Events()
	for i := range evs {
		events[evs[i].End] = &evs[i]
	}
	chunks := strayChunks(c)
	var open []conformance.Line
	for _, l := range c.Lines() {
		switch {
		case l.Kind == sse.LineBOM || l.Kind == sse.LineLateLF || chunks[l.Start]:
		case l.Kind != sse.LineBlank:
			open = append(open, l)
		case len(open) > 0:
			if natural[open[0].Start] {
				found = append(found, block{c, open, l.End, events[l.End]})
			}
			open = nil
		}
	}
	return found
}

// has tells whether a line of that kind is in the block.
func (b *block) has(k sse.LineKind) bool { return b.last(k) != nil }

// last is the last line of that kind, the one that counts; nil where there is none.
func (b *block) last(k sse.LineKind) *conformance.Line {
	for i := len(b.lines) - 1; i >= 0; i-- {
		if b.lines[i].Kind == k {
			return &b.lines[i]
		}
	}
	return nil
}

func (b *block) evidence() result.Evidence { return b.conn.Evidence(b.lines[0].Start, b.end) }

// identified returns the blocks that dispatched an event, and how many of them carried an id.
func identified(all []block) (events []block, n int) {
	for _, b := range all {
		if b.event == nil {
			continue
		}
		events = append(events, b)
		if b.event.IDSet && len(b.event.ID) > 0 {
			n++
		}
	}
	return events, n
}
