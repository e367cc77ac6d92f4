package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// measure is a figure of a load run.
type measure struct {
	name  string
	unit  string                                      // of result.Gate
	value func(*result.Load) (v *float64, why string) // nil: why there is none; otherwise what the value takes into account, if anything
	whole func(*result.Load) float64                  // what a percentage is of; nil where that says nothing
}

type load = result.Load

func count(name string, value func(*load) int64, whole func(*load) int64) measure {
	m := measure{name: name, value: func(l *load) (*float64, string) { return new(float64(value(l))), "" }}
	if whole != nil {
		m.whole = func(l *load) float64 { return float64(whole(l)) }
	}
	return m
}

// among is m where there is a value only if something was published, and a zero only among samples: of what could not be seen there is no "none".
func (m measure) among(samples func(*load) int64) measure {
	value := m.value
	m.value = func(l *load) (*float64, string) {
		v, why := value(l)
		if l.Events.Published <= 0 || *v == 0 && samples(l) <= 0 {
			return nil, "no samples"
		}
		return v, why
	}
	return m
}

func (m measure) in(unit string) measure { m.unit = unit; return m }

func planned(l *load) int64  { return int64(l.Streams.Planned) }
func due(l *load) int64      { return int64(l.Streams.Due()) }
func opened(l *load) int64   { return int64(l.Streams.Opened) }
func eligible(l *load) int64 { return l.Events.Eligible }
func received(l *load) int64 { return l.Events.Received }
func arrived(l *load) int64  { return l.Events.Eligible - l.Events.Lost }

// ofReconnect is a figure that there is only where streams reconnect.
func ofReconnect(name string, of func(*result.Reconnect) int64) measure {
	return measure{name: "reconnect." + name, value: func(l *load) (*float64, string) {
		if l.Reconnect == nil {
			return nil, "streams did not reconnect (--reconnect)"
		}
		return new(float64(of(l.Reconnect))), ""
	}}
}

// ofSlow is a figure that there is only where streams read slowly.
func ofSlow(name string, of func(*result.SlowReaders) int64) measure {
	return measure{name: "slow_readers." + name, value: func(l *load) (*float64, string) {
		if l.SlowReaders == nil {
			return nil, "no stream was to read slowly (--slow-readers)"
		}
		return new(float64(of(l.SlowReaders))), ""
	}}
}

var measures = []measure{
	count("streams.planned", planned, nil),
	count("streams.opened", opened, due),
	count("streams.failed", func(l *load) int64 { return int64(l.Streams.Failed) }, due),
	count("streams.peak", func(l *load) int64 { return int64(l.Streams.Peak) }, planned),
	count("streams.connections", func(l *load) int64 { return int64(l.Streams.Connections) }, nil),
	count("streams.closed_by_server", func(l *load) int64 { return int64(l.Streams.ClosedByServer) }, opened),
	count("streams.churned", func(l *load) int64 { return int64(l.Streams.Churned) }, opened),
	count("streams.completed", func(l *load) int64 { return int64(l.Streams.Completed) }, opened),
	count("streams.reconnects", func(l *load) int64 { return int64(l.Streams.Reconnects) }, opened),
	ofSlow("streams", func(s *result.SlowReaders) int64 { return int64(s.Streams) }),
	ofSlow("closed_by_server", func(s *result.SlowReaders) int64 { return int64(s.ClosedByServer) }),
	ofReconnect("attempts", func(r *result.Reconnect) int64 { return int64(r.Attempts) }),
	ofReconnect("failed", func(r *result.Reconnect) int64 { return int64(r.Failed) }),
	ofReconnect("gave_up", func(r *result.Reconnect) int64 { return int64(r.GaveUp) }),
	ofReconnect("away", func(r *result.Reconnect) int64 { return int64(r.Away) }),
	ofReconnect("last_event_id_sent", func(r *result.Reconnect) int64 { return int64(r.LastEventIDSent) }),
	ofReconnect("missed_in_gap", func(r *result.Reconnect) int64 { return r.MissedInGap }),
	ofReconnect("recovered_by_replay", func(r *result.Reconnect) int64 { return r.RecoveredByReplay }),
	ofReconnect("lost_in_gap", func(r *result.Reconnect) int64 { return r.LostInGap }),
	ofReconnect("duplicates_on_replay", func(r *result.Reconnect) int64 { return r.DuplicatesOnReplay }),
	count("events.published", func(l *load) int64 { return l.Events.Published }, nil),
	count("events.received", received, eligible),
	count("events.eligible", eligible, nil),
	count("events.lost", func(l *load) int64 { return l.Events.Lost }, eligible).among(eligible),
	count("events.duplicated", func(l *load) int64 { return l.Events.Duplicated }, received).among(arrived),
	count("events.reordered", func(l *load) int64 { return l.Events.Reordered }, received).among(arrived),
	count("events.bytes", func(l *load) int64 { return l.Events.Bytes }, nil).in("bytes"),
	count("findings", func(l *load) int64 { return int64(len(l.Broken())) }, nil),
	count("generator.rss_bytes", func(l *load) int64 { return l.Generator.RSSBytes }, nil).in("bytes"),
	count("generator.bytes_per_stream", func(l *load) int64 { return l.Generator.BytesPerStream }, nil).in("bytes"),
	count("generator.workers", func(l *load) int64 { return int64(l.Generator.Workers) }, nil),
	count("disconnects", func(l *load) (n int64) {
		for _, d := range l.Disconnects {
			n += d.Count
		}
		return n
	}, opened),
	{name: "position_bias", value: func(l *load) (*float64, string) {
		if l.PositionBias == nil {
			return nil, "no samples"
		}
		return new(l.PositionBias.Rho), ""
	}},
	{name: "generator.cpu_seconds", unit: "s", value: func(l *load) (*float64, string) { return new(l.Generator.CPUSeconds), "" }},
}

// generatorLatencies are what the generator measures of itself.
var generatorLatencies = []struct {
	name string
	of   func(*result.Generator) *result.Quantiles
}{
	{"delay", func(g *result.Generator) *result.Quantiles { return g.DelayUS }},
	{"lag", func(g *result.Generator) *result.Quantiles { return g.LagUS }},
	{"sched", func(g *result.Generator) *result.Quantiles { return g.SchedUS }},
	{"canary", func(g *result.Generator) *result.Quantiles {
		if g.Canary == nil {
			return nil
		}
		return g.Canary.DeliverUS
	}},
}

// Names are what a threshold can name: distributions, each with .p99 or the like behind it, and single figures.
func Names() (distributions, figures []string) {
	distributions = append(slices.Clone(result.MetricNames()), result.Distributions()...)
	for _, own := range generatorLatencies {
		distributions = append(distributions, "generator."+own.name)
	}
	for _, m := range measures {
		figures = append(figures, strings.TrimPrefix(m.name, "events."))
	}
	return distributions, figures
}

// lookup finds the measure of a name; the error names those that there are.
func lookup(name string) (measure, error) {
	for _, m := range measures {
		if name == m.name || "events."+name == m.name {
			return m, nil
		}
	}
	for _, own := range generatorLatencies {
		if rest, ok := strings.CutPrefix(name, "generator."+own.name+"."); ok {
			return latency(name, rest, func(l *load) *result.Quantiles { return own.of(&l.Generator) })
		}
	}
	metric, of, _ := strings.Cut(name, ".")
	if slices.Contains(result.MetricNames(), metric) {
		return latency(name, of, func(l *load) *result.Quantiles { return l.LatencyUS[metric] })
	}
	if slices.Contains(result.Distributions(), metric) {
		m, err := latency(name, of, func(l *load) *result.Quantiles { return l.Distributions[metric] })
		m.unit = ""
		return m, err
	}
	if name == "" {
		return measure{}, fmt.Errorf("nothing before the comparison; write it like `deliver.p99 < 250ms`")
	}
	if group, of, ok := strings.Cut(name, "."); ok {
		var names []string
		for _, m := range measures {
			if n, ok := strings.CutPrefix(m.name, group+"."); ok {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			return measure{}, fmt.Errorf("%s has no %q; it has %s", group, shown(of), strings.Join(names, ", "))
		}
	}
	return measure{}, fmt.Errorf("%q is not measured; latencies are %s (each with .p50, .p99, .p99.9, .max ...), counts are lost, duplicated, reordered, received, streams.failed and those that `ssegauge load --help` lists",
		shown(name), strings.Join(result.MetricNames(), ", "))
}

// latency is a figure of a distribution. What never came counts as larger than all that did.
func latency(name, of string, source func(*load) *result.Quantiles) (measure, error) {
	m := measure{name: name, unit: "us"}
	if at, side, ok := strings.Cut(of, "."); ok && (side == "low" || side == "high") {
		return interval(m, at, side, source)
	}
	if at, ok := strings.CutPrefix(of, "p99.9."); ok && (at == "low" || at == "high") {
		return interval(m, "p99_9", at, source)
	}
	var pick func(q *result.Quantiles) *float64
	var need float64 // the quantile that the sample has to resolve
	switch of {
	case "count":
		m.unit = ""
		m.value = func(l *load) (*float64, string) {
			if q := source(l); q != nil {
				return new(float64(q.Count)), ""
			}
			return new(0.0), ""
		}
		return m, nil
	case "min":
		pick = func(q *result.Quantiles) *float64 { return q.Min }
	case "mean":
		pick = func(q *result.Quantiles) *float64 {
			if q.Never > 0 {
				return nil
			}
			return q.Mean
		}
	default:
		digits, ok := strings.CutPrefix(of, "p")
		if of == "max" {
			digits, ok = "100", true
		}
		percent, err := strconv.ParseFloat(strings.Replace(digits, "_", ".", 1), 64)
		if !ok || err != nil || strings.Trim(digits, "0123456789._") != "" || percent < 0 || percent > 100 {
			return m, fmt.Errorf("%q is no quantile; use p50, p99, p99.9, min, mean, max or count", shown(of))
		}
		need = percent / 100
		pick = func(q *result.Quantiles) *float64 { return q.Beyond(need, q.Never) }
	}
	m.value = func(l *load) (*float64, string) {
		q := source(l)
		if q == nil || q.Count <= 0 && q.Never <= 0 {
			return nil, "no samples"
		}
		late := ""
		if q.Never > 0 && of != "min" {
			late = result.Count(q.Never) + " never came"
		}
		if v := pick(q); v != nil {
			if late != "" {
				late += ", counted as late"
			}
			return v, late
		}
		switch all := max(q.Count, 0) + max(q.Never, 0); {
		case !q.Resolves(need, q.Never) && q.Events > 0 && q.Events < all:
			return nil, fmt.Sprintf("%s cannot resolve %s: it takes %s, more time or a higher rate", result.Plural(q.Events, "published event"), of, result.Count(result.Needed(need)))
		case !q.Resolves(need, q.Never):
			return nil, fmt.Sprintf("%s cannot resolve %s", result.Plural(all, "sample"), of)
		case late != "":
			return nil, late + ", " + of + " is among them"
		}
		return nil, "no histogram stored to take " + of + " from"
	}
	return m, nil
}

// interval is one end of the 95 % interval of a quantile.
func interval(m measure, at, side string, source func(*load) *result.Quantiles) (measure, error) {
	known := false
	for _, q := range result.IntervalQuantiles {
		known = known || q.Name == at
	}
	if !known {
		return m, fmt.Errorf("%q has no interval; p50, p90, p99 and p99.9 have one", shown(at))
	}
	m.value = func(l *load) (*float64, string) {
		q := source(l)
		if q == nil || len(q.CI95) == 0 {
			return nil, "no samples"
		}
		i, ok := q.CI95[at]
		v := i.Low
		if side == "high" {
			v = i.High
		}
		if !ok || v == nil {
			return nil, "the sample sets no such bound: it takes more events, or fewer that never came"
		}
		return v, "end of a 95 % interval"
	}
	return m, nil
}
