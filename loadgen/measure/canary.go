package measure

import (
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Canary takes down when streams of another process received the events of the run.
type Canary struct {
	board  *Board
	mu     sync.Mutex
	hist   *hdrhistogram.Histogram
	events map[uint32]struct{} // that came; counted up to what is resolved of anything
}

// Canary makes one for the events of this board.
func (b *Board) Canary() *Canary {
	return &Canary{board: b, hist: newHist(), events: map[uint32]struct{}{}}
}

const canaryEvents = 10_000

// Arrived notes that event seq came to one of its streams, ns since the epoch of the board.
func (c *Canary) Arrived(seq uint32, at int64) {
	b := c.board
	if seq < b.warm || seq >= b.begun.Load() {
		return
	}
	off := at - b.start - int64(b.events.At(int(seq)))
	if off > b.deadline {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.hist.RecordValue(max(0, off) / 1000) // the deadline is within the range
	if len(c.events) < canaryEvents {
		c.events[seq] = struct{}{}
	}
}

// Quantiles is the distribution of what came.
func (c *Canary) Quantiles() *result.Quantiles {
	c.mu.Lock()
	defer c.mu.Unlock()
	return result.FromEvents(c.hist, int64(len(c.events)))
}
