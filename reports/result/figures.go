package result

import (
	"cmp"
	"slices"
	"strings"
)

// Figure is one number of a load run that is no latency, under the names of the JSON.
type Figure struct {
	Group string   // "streams", "generator.gc"
	Name  string   // "closed_by_server", "retry_ms.min"
	Label string   // "closed by the server"
	Unit  string   // as [Gate] has it
	Value *float64 // nil: not measured
}

// figures are the numbers of a load run in reading order: every format that lists them goes by this table.
var figures = []struct {
	group, name, label, unit string
	value                    func(*Load) *float64 // nil: the run has no such figure
	known                    func(*Load) bool     // whether it was measured; nil: always
}{
	{group: "streams", name: "planned", label: "planned", value: func(l *Load) *float64 { return of(l.Streams.Planned) }},
	{group: "streams", name: "opened", label: "opened", value: func(l *Load) *float64 { return of(l.Streams.Opened) }},
	{group: "streams", name: "failed", label: "failed", value: func(l *Load) *float64 { return of(l.Streams.Failed) }},
	{group: "streams", name: "peak", label: "most at once", value: func(l *Load) *float64 { return of(l.Streams.Peak) }},
	{group: "streams", name: "connections", label: "connections", value: func(l *Load) *float64 { return of(l.Streams.Connections) }},
	{group: "streams", name: "closed_by_server", label: "ended early", value: func(l *Load) *float64 { return of(l.Streams.ClosedByServer) }},
	{group: "streams", name: "churned", label: "churned", value: func(l *Load) *float64 { return some(l.Streams.Churned) }},
	{group: "streams", name: "completed", label: "completed", value: func(l *Load) *float64 { return some(l.Streams.Completed) }},
	{group: "streams", name: "reconnects", label: "reconnects", value: func(l *Load) *float64 { return of(l.Streams.Reconnects) }},
	{group: "reconnect", name: "attempts", label: "attempts", value: returns(func(r *Reconnect) *float64 { return of(r.Attempts) })},
	{group: "reconnect", name: "failed", label: "failed", value: returns(func(r *Reconnect) *float64 { return of(r.Failed) })},
	{group: "reconnect", name: "gave_up", label: "gave up", value: returns(func(r *Reconnect) *float64 { return of(r.GaveUp) })},
	{group: "reconnect", name: "away", label: "away at the end", value: returns(func(r *Reconnect) *float64 { return of(r.Away) })},
	{group: "reconnect", name: "last_event_id_sent", label: "with Last-Event-ID", value: returns(func(r *Reconnect) *float64 { return of(r.LastEventIDSent) })},
	{group: "reconnect", name: "retry_ms.min", label: "shortest retry", unit: "ms", value: returns(func(r *Reconnect) *float64 { return end(r.RetryMS, false) })},
	{group: "reconnect", name: "retry_ms.max", label: "longest retry", unit: "ms", value: returns(func(r *Reconnect) *float64 { return end(r.RetryMS, true) })},
	{group: "reconnect", name: "missed_in_gap", label: "missed while away", value: returns(func(r *Reconnect) *float64 { return of(r.MissedInGap) })},
	{group: "reconnect", name: "recovered_by_replay", label: "recovered by replay", value: returns(func(r *Reconnect) *float64 { return of(r.RecoveredByReplay) })},
	{group: "reconnect", name: "lost_in_gap", label: "lost while away", value: returns(func(r *Reconnect) *float64 { return of(r.LostInGap) })},
	{group: "reconnect", name: "undecided", label: "undecided", value: returns(func(r *Reconnect) *float64 { return of(r.Undecided) })},
	{group: "reconnect", name: "duplicates_on_replay", label: "duplicates on replay", value: returns(func(r *Reconnect) *float64 { return of(r.DuplicatesOnReplay) })},
	{group: "slow_readers", name: "streams", label: "streams", value: slow(func(s *SlowReaders) *float64 { return of(s.Streams) })},
	{group: "slow_readers", name: "closed_by_server", label: "closed by the server", value: slow(func(s *SlowReaders) *float64 { return of(s.ClosedByServer) })},
	{group: "slow_readers", name: "found_at_end", label: "found so at the end", value: slow(func(s *SlowReaders) *float64 { return some(s.FoundAtEnd) })},
	{group: "slow_readers", name: "closed_after_us.min", label: "first after", unit: "us", value: slow(func(s *SlowReaders) *float64 { return extreme(s.ClosedAfterUS, false) })},
	{group: "slow_readers", name: "closed_after_us.max", label: "last after", unit: "us", value: slow(func(s *SlowReaders) *float64 { return extreme(s.ClosedAfterUS, true) })},
	{group: "slow_readers", name: "bytes_before_close.min", label: "having read from", unit: "bytes", value: slow(func(s *SlowReaders) *float64 { return end(s.BytesBefore, false) })},
	{group: "slow_readers", name: "bytes_before_close.max", label: "up to", unit: "bytes", value: slow(func(s *SlowReaders) *float64 { return end(s.BytesBefore, true) })},
	{group: "slow_readers", name: "received", label: "events received", value: slow(func(s *SlowReaders) *float64 { return of(s.Received) })},
	{group: "slow_readers", name: "bytes", label: "bytes", unit: "bytes", value: slow(func(s *SlowReaders) *float64 { return of(s.Bytes) })},
	{group: "events", name: "published", label: "published", value: func(l *Load) *float64 { return of(l.Events.Published) }, known: compared},
	{group: "events", name: "received", label: "received", value: func(l *Load) *float64 { return of(l.Events.Received) }},
	{group: "events", name: "eligible", label: "due to receivers", value: func(l *Load) *float64 { return of(l.Events.Eligible) }, known: matched},
	{group: "events", name: "lost", label: "lost", value: func(l *Load) *float64 { return of(l.Events.Lost) }, known: matched},
	{group: "events", name: "duplicated", label: "duplicated", value: func(l *Load) *float64 { return of(l.Events.Duplicated) }, known: matched},
	{group: "events", name: "reordered", label: "out of order", value: func(l *Load) *float64 { return of(l.Events.Reordered) }, known: matched},
	{group: "events", name: "bytes", label: "bytes", unit: "bytes", value: func(l *Load) *float64 { return of(l.Events.Bytes) }},
	{group: "generator", name: "cpu_seconds", label: "processor time", unit: "s", value: func(l *Load) *float64 { return &l.Generator.CPUSeconds }},
	{group: "generator", name: "rss_bytes", label: "memory", unit: "bytes", value: func(l *Load) *float64 { return of(l.Generator.RSSBytes) }},
	{group: "generator", name: "bytes_per_stream", label: "memory a stream", unit: "bytes", value: func(l *Load) *float64 { return of(l.Generator.BytesPerStream) }, known: func(l *Load) bool { return l.Generator.BytesPerStream > 0 }},
	{group: "generator", name: "workers", label: "workers", value: func(l *Load) *float64 { return of(l.Generator.Workers) }},
	{group: "generator", name: "unread_bytes", label: "not looked through for UTF-8", unit: "bytes", value: func(l *Load) *float64 { return some(int(l.Generator.UnreadBytes)) }},
	{group: "generator.gc", name: "cycles", label: "collections", value: gc(func(g *GC) *float64 { return of(g.Cycles) })},
	{group: "generator.gc", name: "cpu_share", label: "share of its processor time", unit: "ratio", value: gc(func(g *GC) *float64 { return &g.CPUShare })},
	{group: "generator.gc", name: "pause_max_us", label: "longest pause", unit: "us", value: gc(func(g *GC) *float64 { return &g.PauseMaxUS })},
	{group: "generator.machine", name: "own", label: "used by the generator", unit: "ratio", value: machine(func(m *Machine) *float64 { return &m.Own })},
	{group: "generator.machine", name: "busy", label: "used by all", unit: "ratio", value: machine(func(m *Machine) *float64 { return m.Busy })},
	{group: "generator.machine", name: "full", label: "time without a free one", unit: "ratio", value: machine(func(m *Machine) *float64 { return m.Full })},
	{group: "generator.machine", name: "pressure", label: "time in which something waited for one", unit: "ratio", value: machine(func(m *Machine) *float64 { return m.Pressure })},
	{group: "generator.machine", name: "steal", label: "taken by the host", unit: "ratio", value: machine(func(m *Machine) *float64 { return m.Steal })},
	{group: "generator.machine", name: "throttled", label: "held back by a quota", unit: "ratio", value: machine(func(m *Machine) *float64 { return m.Throttled })},
	{group: "generator.canary", name: "streams", label: "streams in a process of their own", value: canary(func(c *Canary) *float64 { return of(c.Streams) })},
	{group: "generator.calibration", name: "streams", label: "streams", value: calibration(func(c *Calibration) *float64 { return of(c.Streams) })},
	{group: "generator.calibration", name: "events_per_second", label: "events this machine can receive a second", value: calibration(func(c *Calibration) *float64 { return &c.EventsPerSecond })},
	{group: "correlation", name: "tier", label: "tier", value: matching(func(c *Correlation) *float64 { return of(c.Tier) })},
	{group: "correlation", name: "events", label: "events", value: matching(func(c *Correlation) *float64 { return of(c.Events) })},
	{group: "correlation", name: "alone", label: "of one receiver alone", value: matching(func(c *Correlation) *float64 { return some(int(c.Alone)) })},
	{group: "correlation", name: "unstamped", label: "without a time stamp", value: matching(func(c *Correlation) *float64 { return some(int(c.Unstamped)) })},
	{group: "correlation.clock", name: "min_us", label: "least", unit: "us", value: clock(func(c *Clock) *float64 { return &c.MinUS })},
	{group: "correlation.clock", name: "mean_us", label: "mean", unit: "us", value: clock(func(c *Clock) *float64 { return &c.MeanUS })},
	{group: "correlation.clock", name: "max_us", label: "most", unit: "us", value: clock(func(c *Clock) *float64 { return &c.MaxUS })},
	{group: "correlation.clock", name: "negative", label: "below zero", value: clock(func(c *Clock) *float64 { return of(c.Negative) })},
	{group: "correlation.clock", name: "floor_us", label: "floor", unit: "us", value: clock(func(c *Clock) *float64 { return c.FloorUS })},
	{group: "correlation.clock", name: "drift_ppm", label: "drift, ppm", value: clock(func(c *Clock) *float64 { return &c.DriftPPM })},
	{group: "steady", name: "events", label: "events", value: steady(func(s *Steady) *float64 { return of(s.Events) })},
	{group: "steady", name: "from_us", label: "at the start", unit: "us", value: steady(func(s *Steady) *float64 { return &s.FromUS })},
	{group: "steady", name: "to_us", label: "at the end", unit: "us", value: steady(func(s *Steady) *float64 { return &s.ToUS })},
	{group: "steady", name: "slope_us_per_s", label: "slope, µs a second", value: steady(func(s *Steady) *float64 { return &s.SlopeUS })},
	{group: "position_bias", name: "rho", label: "correlation of joining and delay", value: position(func(b *PositionBias) *float64 { return &b.Rho })},
	{group: "position_bias", name: "events", label: "events", value: position(func(b *PositionBias) *float64 { return of(b.Events) })},
	{group: "position_bias", name: "receivers", label: "receivers of each", value: position(func(b *PositionBias) *float64 { return of(b.Receivers) })},
}

func of[T int | int64](n T) *float64 { return new(float64(n)) }

// some is nil for none: where most runs have nothing of the kind.
func some(n int) *float64 {
	if n == 0 {
		return nil
	}
	return of(n)
}

func end(s *Span, upper bool) *float64 {
	switch {
	case s == nil:
		return nil
	case upper:
		return &s.Max
	}
	return &s.Min
}

// part is a figure of a part that not every run has.
func part[P any](get func(*Load) *P, value func(*P) *float64) func(*Load) *float64 {
	return func(l *Load) *float64 {
		if p := get(l); p != nil {
			return value(p)
		}
		return nil
	}
}

// extreme is the smallest or the largest of a distribution.
func extreme(q *Quantiles, upper bool) *float64 {
	switch {
	case q == nil:
		return nil
	case upper:
		return q.Max
	}
	return q.Min
}

func slow(value func(*SlowReaders) *float64) func(*Load) *float64 {
	return part(func(l *Load) *SlowReaders { return l.SlowReaders }, value)
}

func returns(value func(*Reconnect) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Reconnect { return l.Reconnect }, value)
}

func position(value func(*PositionBias) *float64) func(*Load) *float64 {
	return part(func(l *Load) *PositionBias { return l.PositionBias }, value)
}

func matching(value func(*Correlation) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Correlation { return l.Correlation }, value)
}

func clock(value func(*Clock) *float64) func(*Load) *float64 {
	return matching(func(c *Correlation) *float64 {
		if c.Clock == nil {
			return nil
		}
		return value(c.Clock)
	})
}

func steady(value func(*Steady) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Steady { return l.Steady }, value)
}

func gc(value func(*GC) *float64) func(*Load) *float64 {
	return part(func(l *Load) *GC { return l.Generator.GC }, value)
}

func machine(value func(*Machine) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Machine { return l.Generator.Machine }, value)
}

func canary(value func(*Canary) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Canary { return l.Generator.Canary }, value)
}

func calibration(value func(*Calibration) *float64) func(*Load) *float64 {
	return part(func(l *Load) *Calibration { return l.Generator.Calibration }, value)
}

// Figures are the numbers of the run, in reading order.
func (l *Load) Figures() []Figure {
	out := make([]Figure, 0, len(figures))
	for _, f := range figures {
		v := f.value(l)
		switch {
		case v == nil:
			continue
		case f.known != nil && *v == 0 && !f.known(l):
			v = nil
		}
		label := f.label
		if f.group == "events" && f.name == "published" && l.Correlation != nil && l.Correlation.Tier != 2 {
			label = "distinct" // others published them
		}
		out = append(out, Figure{f.group, f.name, label, f.unit, v})
	}
	return out
}

// Shown writes the value for people, "not measured" where there is none.
func (f Figure) Shown() string {
	if f.Value == nil {
		return "not measured"
	}
	return Measure(*f.Value, f.Unit)
}

// FigureGroup is what belongs together among the figures of a run.
type FigureGroup struct {
	Name    string // as [Figure] has it
	Title   string // in words: "streams", "garbage collection"
	Figures []Figure
	Why     string   // some of them were not measured
	Notes   []string // what else is to be said
}

var groupTitles = map[string]string{
	"reconnect": "reconnecting", "slow_readers": "slow readers", "generator.gc": "garbage", "generator.machine": "processors", "generator.canary": "canary", "generator.calibration": "calibration", "position_bias": "position",
}

// worded are the groups of which reports say more in words: [Load.CorrelationRows], [Steady].
var worded = []string{"correlation", "correlation.clock", "steady"}

// FigureGroups are the figures in groups, but for those that are better said in words.
func (l *Load) FigureGroups() []FigureGroup {
	var groups []FigureGroup
	for _, f := range l.Figures() {
		if slices.Contains(worded, f.Group) {
			continue
		}
		if n := len(groups); n == 0 || groups[n-1].Name != f.Group {
			groups = append(groups, FigureGroup{Name: f.Group, Title: cmp.Or(groupTitles[f.Group], f.Group)})
		}
		g := &groups[len(groups)-1]
		if f.Value != nil || f.Group == "events" { // elsewhere there is nothing to miss
			g.Figures = append(g.Figures, f)
		}
	}
	for i := range groups {
		g := &groups[i]
		note := func(s string) {
			if s != "" {
				g.Notes = append(g.Notes, Escape(s))
			}
		}
		switch g.Name {
		case "events":
			g.Why = l.Unmatched()
		case "generator.canary":
			note(l.Generator.Canary.Note)
		case "generator.calibration":
			note(l.Generator.Calibration.Note)
		}
	}
	return groups
}

// Line is the group on one line, without its title; but for streams and events the first alone may be zero. "" where nothing is left.
func (g *FigureGroup) Line() string {
	var parts, unknown []string
	for i, f := range g.Figures {
		if f.Value != nil && *f.Value == 0 && g.Name != "streams" && g.Name != "events" && (i > 0 || strings.Contains(g.Name, ".")) {
			continue
		}
		if f.Value != nil {
			parts = append(parts, f.Label+" "+f.Shown())
		} else {
			unknown = append(unknown, f.Label)
		}
	}
	if len(unknown) > 0 {
		s := "not measured: " + strings.Join(unknown, ", ")
		if g.Why != "" {
			s += " (" + g.Why + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(append(parts, g.Notes...), " · ")
}

// matched tells whether events were tied to receivers that should have them: without that nothing is known of loss.
func matched(l *Load) bool { return l.Events.Eligible > 0 }

// compared tells whether events were told apart from those of other receivers: else it is not known how many there were.
func compared(l *Load) bool { return l.Correlation == nil || l.Correlation.Failed == "" }

// Unmatched says why nothing is known of loss and delivery; "" where it is.
func (l *Load) Unmatched() string {
	switch {
	case matched(l):
		return ""
	case l.Correlation != nil && l.Correlation.Failed != "":
		return l.Correlation.Failed
	case l.Events.Published > 0:
		return "no stream was open when an event was published"
	case l.Plan["publish"] == nil:
		return "no publish hook"
	}
	return "nothing was published"
}
