package loadgen

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reports/result"
)

// health watches this process and its machine from a time on: how much of the processors is used, by whom, and how long what wants one waits.
type health struct {
	from time.Duration // since the start of the run

	began     time.Time
	wall      time.Duration
	cpu       time.Duration // of this process: at the start, then used
	machine   machineTimes  // likewise
	runtime   runtimeTimes  // likewise
	last      machineTimes
	looked    time.Time
	pieces    int // half-seconds
	full      int // of them those in which no processor was free
	metronome *measure.Metronome
	stop      chan struct{}
	beating   sync.WaitGroup
}

// machineTimes are counters of the machine's processors that this process may use; a negative one cannot be seen here.
type machineTimes struct {
	all, idle, steal time.Duration // of all these processors together
	pressure         time.Duration // something waited for a processor
	throttled        time.Duration // this process was held back by a quota
}

func (m machineTimes) minus(o machineTimes) machineTimes {
	less := func(a, b time.Duration) time.Duration {
		if a < 0 || b < 0 {
			return -1
		}
		return max(0, a-b)
	}
	return machineTimes{less(m.all, o.all), less(m.idle, o.idle), less(m.steal, o.steal), less(m.pressure, o.pressure), less(m.throttled, o.throttled)}
}

const (
	piece  = 500 * time.Millisecond
	isFull = 0.97 // of the time of all processors
)

// observe is called about ten times a second.
func (h *health) observe(elapsed time.Duration) {
	now := time.Now()
	switch {
	case elapsed < h.from:
	case h.began.IsZero():
		h.began, h.looked = now, now
		h.cpu, h.machine, h.runtime = usage(), lookAtMachine(), lookAtRuntime()
		h.last = h.machine
		h.beat()
	case now.Sub(h.looked) >= piece:
		m := lookAtMachine()
		if d := m.minus(h.last); d.all > 0 {
			h.pieces++
			if busy(d) >= isFull {
				h.full++
			}
		}
		h.last, h.looked = m, now
	}
}

func busy(d machineTimes) float64 { return 1 - d.idle.Seconds()/d.all.Seconds() }

// beat asks for the processor every millisecond until h.stop is closed.
func (h *health) beat() {
	m, every := measure.NewMetronome()
	h.metronome, h.stop = m, make(chan struct{})
	h.beating.Go(func() {
		// A thread of its own, so that a sleep of it is the kernel's and no timer's of the runtime.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for due := time.Now().Add(every); ; {
			select {
			case <-h.stop:
				return
			default:
			}
			nap(time.Until(due))
			late := time.Since(due)
			m.Late(late)
			due = due.Add(max(every, late.Truncate(every)))
		}
	})
}

// end ends the watch and returns the share of the time in which this process waited long for a processor.
func (h *health) end() (lag float64) {
	if h.began.IsZero() {
		return 0
	}
	close(h.stop)
	h.beating.Wait()
	h.wall, h.cpu = time.Since(h.began), usage()-h.cpu
	h.machine, h.runtime = lookAtMachine().minus(h.machine), lookAtRuntime().minus(h.runtime)
	return h.metronome.Share()
}

// fill writes what was seen.
func (h *health) fill(g *result.Generator) {
	if h.wall <= 0 {
		return
	}
	share := func(d, of time.Duration) *float64 {
		if d < 0 || of <= 0 {
			return nil
		}
		return new(min(1, d.Seconds()/of.Seconds()))
	}
	cpus := time.Duration(runtime.NumCPU())
	g.Machine = &result.Machine{
		Own: h.cpu.Seconds() / (h.wall * cpus).Seconds(), Steal: share(h.machine.steal, h.machine.all),
		Pressure: share(h.machine.pressure, h.wall), Throttled: share(h.machine.throttled, h.wall),
	}
	if h.machine.all > 0 {
		g.Machine.Busy = new(busy(h.machine))
	}
	if h.pieces > 0 {
		g.Machine.Full = new(float64(h.full) / float64(h.pieces))
	}
	g.LagUS = h.metronome.Quantiles()
	r := &h.runtime
	g.GC = &result.GC{Cycles: int64(r.cycles), PauseMaxUS: r.pauseMax() * 1e6}
	if r.cpu > 0 {
		g.GC.CPUShare = r.gc / r.cpu
	}
	if r.waits.Counts != nil {
		g.SchedUS = measure.FromBuckets(r.waits.Counts, r.waits.Buckets)
	}
}

// runtimeTimes are what the Go runtime counts of itself.
type runtimeTimes struct {
	cycles        uint64
	gc, cpu       float64 // processor seconds, cpu without those that were idle
	pauses, waits metrics.Float64Histogram
}

func lookAtRuntime() (r runtimeTimes) {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/cpu/classes/idle:cpu-seconds"},
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/sched/latencies:seconds"},
	}
	metrics.Read(samples)
	for i, s := range samples {
		switch v := s.Value; {
		case v.Kind() == metrics.KindBad: // not known to this version of the runtime
		case i == 0:
			r.cycles = v.Uint64()
		case i == 1:
			r.gc = v.Float64()
		case i == 2:
			r.cpu += v.Float64()
		case i == 3:
			r.cpu -= v.Float64()
		case i == 4:
			r.pauses = copied(v.Float64Histogram())
		default:
			r.waits = copied(v.Float64Histogram())
		}
	}
	return r
}

func copied(h *metrics.Float64Histogram) metrics.Float64Histogram {
	return metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
}

func (r runtimeTimes) minus(o runtimeTimes) runtimeTimes {
	for _, h := range [...]struct{ to, from []uint64 }{{r.pauses.Counts, o.pauses.Counts}, {r.waits.Counts, o.waits.Counts}} {
		for i := range min(len(h.to), len(h.from)) {
			h.to[i] -= h.from[i]
		}
	}
	r.cycles -= o.cycles
	r.gc -= o.gc
	r.cpu -= o.cpu
	return r
}

// pauseMax is the longest pause, s: the upper end of its bucket.
func (r *runtimeTimes) pauseMax() float64 {
	for i := len(r.pauses.Counts) - 1; i >= 0; i-- {
		if r.pauses.Counts[i] > 0 {
			return r.pauses.Buckets[min(i+1, len(r.pauses.Buckets)-2)]
		}
	}
	return 0
}
