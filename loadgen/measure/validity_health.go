package measure

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// The limits of what the machine and this process may do to the figures: suspect beyond the first, invalid beyond the second.
const (
	fullSuspect                        = 0.10 // share of half-seconds without a free processor; never invalid: a target on this machine may be what takes them
	stealSuspect, stealInvalid         = 0.05, 0.20
	throttledSuspect, throttledInvalid = 0.02, 0.25
	gcSuspect                          = 0.25             // of this process's processor time
	pauseSuspect                       = 50 * 1000.0      // us: a shorter one moves no stamp of the kernel, and what began late for it counts as late
	lagLate                            = 10 * 1000        // us: as what begins late, and by the same shares
	beat                               = time.Millisecond // how often the metronome asks for the processor
)

// Metronome takes down how late a thread is that asks for the processor every millisecond: what happens to it happens to all that measure. One goroutine
// beats; the rest is for after.
type Metronome struct {
	hist *hdrhistogram.Histogram // us
}

// NewMetronome makes one, and says how often to beat.
func NewMetronome() (*Metronome, time.Duration) { return &Metronome{newHist()}, beat }

// Late notes that a beat came so late. What a delay of several beats kept from being noted is noted with it.
func (m *Metronome) Late(d time.Duration) {
	us := min(max(d.Microseconds(), 1), highest)
	// Range and interval are within bounds: no error is possible.
	_ = m.hist.RecordCorrectedValue(us, int64(beat/time.Microsecond))
}

// Quantiles is the distribution, in us.
func (m *Metronome) Quantiles() *result.Quantiles { return result.FromHist(m.hist) }

// Share is the part of the time in which a beat was more than 10 ms overdue.
func (m *Metronome) Share() float64 {
	n, late := m.hist.TotalCount(), int64(0)
	if n == 0 {
		return 0
	}
	for _, bar := range m.hist.Distribution() {
		if bar.From > lagLate {
			late += bar.Count
		}
	}
	return float64(late) / float64(n)
}

// FromBuckets makes quantiles in us of a histogram of seconds as the runtime keeps them: counts[i] lie from bounds[i] to bounds[i+1].
func FromBuckets(counts []uint64, bounds []float64) *result.Quantiles {
	h := newHist()
	for i, n := range counts {
		if n == 0 {
			continue
		}
		at := bounds[i+1]
		if math.IsInf(at, 1) {
			at = bounds[i]
		}
		_ = h.RecordValues(min(max(int64(math.Ceil(at*1e6)), 1), highest), int64(n)) // within the range
	}
	return result.FromHist(h)
}

// full tells whether there was often no processor free.
func full(l *result.Load) bool {
	m := l.Generator.Machine
	return m != nil && m.Full != nil && *m.Full > fullSuspect
}

// judgeHealth holds what this process and its machine went through against what they must not.
func judgeHealth(l *result.Load, h Health, say func(verdict, format string, args ...any), grade func(value, suspect, invalid float64, format string, args ...any)) {
	g := &l.Generator
	if m := g.Machine; m != nil {
		grade(m.Own, cpuSuspect, cpuInvalid, "the generator used %.0f %% of this machine's processors: latencies are partly its own; fewer streams or a lower rate, or more machines, are needed", 100*m.Own)
		if full(l) {
			say(Suspect, "in %.0f %% of the time no processor of this machine was free (this process used %.0f %% of them, all others %.0f %%): what is measured waited for processors; stop what else runs here, or put generator and target on machines of their own",
				100**m.Full, 100*m.Own, 100*max(0, *m.Busy-m.Own))
		}
		if m.Steal != nil {
			grade(*m.Steal, stealSuspect, stealInvalid, "the host took %.0f %% of this virtual machine's processor time (steal): measure on a machine that is not shared", 100**m.Steal)
		}
		if m.Throttled != nil {
			grade(*m.Throttled, throttledSuspect, throttledInvalid, "this process was held back by its processor quota in %.0f %% of the time: raise the quota of its container", 100**m.Throttled)
		}
	}
	grade(h.Lag, lateSuspect, lateInvalid, "this process waited more than 10 ms for a processor in %.0f %% of the time: stop what else runs here, or ask for less", 100*h.Lag)
	if c := g.GC; c != nil {
		grade(c.CPUShare, gcSuspect, 2, "collecting garbage took %.0f %% of the generator's processor time: give it more memory (GOGC=100), or ask for less", 100*c.CPUShare)
		grade(c.PauseMaxUS, pauseSuspect, math.Inf(1), "collecting garbage stopped the generator for %s at once: ask for less", result.Micros(c.PauseMaxUS))
	}
	// Where the kernel does not stamp what arrives, all that keeps a reader from reading is in the figures.
	if d := l.LatencyUS["deliver"]; g.SchedUS != nil && (g.DelayUS == nil || g.DelayUS.Count == 0) && d != nil && d.P99 != nil && g.SchedUS.P99 != nil &&
		*g.SchedUS.P99 > ownFloor && *g.SchedUS.P99 > ownSuspect**d.P99 {
		say(Suspect, "readers waited %s (p99) for a processor, which is %.0f %% of the p99 of delivery, and nothing here stamps what arrives before they run", result.Micros(*g.SchedUS.P99), 100**g.SchedUS.P99 / *d.P99)
	}
}
