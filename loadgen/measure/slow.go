package measure

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Slow readers are streams that take in less than is sent: what matters of them is what the server does about it, and what the others feel. They are no eligible receivers
// and stand in no latency and no count of the others.

// slowness is a recorder's share of what is known of slow readers.
type slowness struct {
	opened, closed  int
	unseen          int // of the closed: when, is not known
	received, bytes int64
	after           *hdrhistogram.Histogram // from the head until the server closed it; nil: it closed none
	least, most     int64                   // bytes of content before that
}

// OpenedSlow notes that a stream which will read slowly has the head of a right answer.
func (r *Recorder) OpenedSlow(s *Stream, o Opening) {
	*s = Stream{opened: o.Head, flags: isSlow}
	r.n.opened++
	r.slow.opened++
	r.board.opened()
}

// slowBytes notes n bytes of content of a slow reader.
func (r *Recorder) slowBytes(s *Stream, n int) {
	r.slow.bytes += int64(n)
	s.window += uint64(n) // of use for nothing else here
}

// slowClosed notes that the server closed a slow reader's stream: at time at, or 0 where that was found when the run was over.
func (r *Recorder) slowClosed(s *Stream, at int64, cause string) {
	r.board.open.Add(-1)
	r.blame("slow reader: " + cause)
	n, bytes := &r.slow, int64(s.window)
	if n.closed++; n.closed == 1 {
		n.after, n.least = newHist(), bytes
	}
	if at > 0 {
		recordNS(n.after, at-s.opened, &r.outside)
	} else {
		n.unseen++
	}
	n.least, n.most = min(n.least, bytes), max(n.most, bytes)
	s.opened = 0
}

// fillSlow writes what is known of slow readers.
func (b *Board) fillSlow(l *result.Load) {
	out, after := result.SlowReaders{}, newHist()
	for _, r := range b.workers {
		n := &r.slow
		out.Streams += n.opened
		out.Received += n.received
		out.Bytes += n.bytes
		if n.closed == 0 {
			continue
		}
		after.Merge(n.after)
		least, most := float64(n.least), float64(n.most)
		if out.ClosedByServer == 0 {
			out.BytesBefore = &result.Span{Min: least, Max: most}
		}
		out.ClosedByServer += n.closed
		out.FoundAtEnd += n.unseen
		out.BytesBefore.Min, out.BytesBefore.Max = min(out.BytesBefore.Min, least), max(out.BytesBefore.Max, most)
	}
	if out.Streams == 0 {
		return
	}
	if after.TotalCount() > 0 {
		out.ClosedAfterUS = result.FromHist(after)
	}
	l.SlowReaders = &out
}
