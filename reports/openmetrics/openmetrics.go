// Package openmetrics writes runs as OpenMetrics 1.0 text. Every sample has the time that it is of, the series one for each of their points, so that runs can be
// read into a time series database after the fact (promtool tsdb create-blocks-from openmetrics). Times are in seconds.
//
// Every sample is labelled with its target and protocol, and with the number of its run where there are several. It imports reports/result. A new counter
// of [result.Load.Figures] is here of itself; another family is one call of add.
package openmetrics

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// Render writes the families of all runs.
func Render(w io.Writer, all ...*result.Run) error {
	e := &exposition{index: map[string]*family{}}
	for i, r := range all {
		r = r.Complete()
		e.labels = []string{"target", r.Target.URL, "http", r.Target.HTTP}
		if len(all) > 1 {
			e.labels = append(e.labels, "run", strconv.Itoa(i+1))
		}
		e.start = float64(r.Started.UnixMilli()) / 1e3
		e.at = e.start + finite(r.DurationMS)/1e3
		switch {
		case r.Check != nil:
			e.run("check", r)
			e.check(r)
		case r.Load != nil:
			e.run("load", r)
			e.load(r)
		case r.Limits != nil:
			e.run("limits", r)
			e.limits(r.Limits)
		default:
			return fmt.Errorf("openmetrics: nothing to report in a run of schema %q", r.Schema)
		}
	}
	_, err := w.Write(e.bytes())
	return err
}

// exposition collects the families: all samples of one must stand together.
type exposition struct {
	families  []*family
	index     map[string]*family
	labels    []string // of every sample of the run at hand: name, value, ...
	start, at float64  // of the run at hand, in seconds since 1970
}

type family struct {
	name, kind, unit, help string
	samples                bytes.Buffer
	last                   map[string]float64 // time of the last sample of a name with labels: the next must be later
}

// family returns the family of that name, made where it is the first time that something is said of it.
func (e *exposition) family(kind, unit, name, help string) *family {
	f := e.index[name]
	if f == nil {
		f = &family{name: name, kind: kind, unit: unit, help: help, last: map[string]float64{}}
		e.index[name] = f
		e.families = append(e.families, f)
	}
	return f
}

// add writes one sample; labels are name, value, ...
func (e *exposition) add(f *family, suffix string, value, at float64, labels ...string) {
	id := f.name + suffix + "{"
	for i, l := range slices.Concat(e.labels, labels) {
		switch {
		case i%2 == 1:
			id += `="` + escape(l) + `"`
		case i > 0:
			id += "," + l
		default:
			id += l
		}
	}
	if last, ok := f.last[id]; ok && at < last+1e-3 {
		return
	}
	f.last[id] = at
	fmt.Fprintf(&f.samples, "%s} %s %s\n", id, number(value), strconv.FormatFloat(at, 'f', 3, 64))
}

func (e *exposition) gauge(name, help string, value float64, labels ...string) {
	e.add(e.family("gauge", unitOf(name), name, help), "", value, e.at, labels...)
}

// unitOf is the unit that the name of a family ends in.
func unitOf(name string) string {
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

// states is a family of which exactly one state holds.
func (e *exposition) states(name, help, is string, all ...string) {
	f := e.family("stateset", "", name, help)
	for _, s := range all {
		v := 0.0
		if s == is {
			v = 1
		}
		e.add(f, "", v, e.at, name, s)
	}
}

func (e *exposition) run(command string, r *result.Run) {
	info := e.family("info", "", "ssegauge_run", "The run, and in words what it comes to.")
	e.add(info, "_info", 1, e.at, "command", command, "version", r.Tool.Version, "sentence", r.Sentence())
	e.states("ssegauge_run_status", "What the run comes to.", string(r.Status()), string(result.Passed), string(result.Failed), string(result.Inconclusive))
	e.gauge("ssegauge_run_duration_seconds", "How long the run took.", finite(r.DurationMS)/1e3)
}

func (e *exposition) check(r *result.Run) {
	s := r.Summary
	for _, c := range []struct {
		verdict result.Verdict
		n       int
	}{
		{result.Pass, s.Pass},
		{result.Fail, s.Fail},
		{result.Warn, s.Warn},
		{result.Info, s.Info},
		{result.NotObserved, s.NotObserved},
		{result.NotApplicable, s.NotApplicable},
		{result.Error, s.Error},
	} {
		e.gauge("ssegauge_checks", "Checks by verdict; those that a baseline accepts are not among them.", float64(c.n), "verdict", string(c.verdict))
	}
	e.findings(r.Results)
}

func (e *exposition) findings(all []result.Finding) {
	for _, f := range all {
		e.gauge("ssegauge_check_verdict", "A check and its verdict.", 1, "id", f.ID, "level", string(f.Level), "verdict", string(f.Verdict))
	}
}

func (e *exposition) load(r *result.Run) {
	e.states("ssegauge_measurement", "Whether the measurement can be trusted.", r.Validity.Verdict, result.Valid, result.Suspect, result.Invalid)
	for _, f := range r.Figures() {
		if f.Value != nil {
			name, value := strings.ReplaceAll("ssegauge_"+f.Group+"_"+f.Name, ".", "_"), *f.Value
			switch f.Unit {
			case "us":
				name, value = strings.Replace(name, "_us", "_seconds", 1), value/1e6
			case "ms":
				name, value = strings.Replace(name, "_ms", "_seconds", 1), value/1e3
			}
			e.gauge(name, strings.ReplaceAll(f.Group, ".", ", ")+": "+f.Label+".", value)
		}
	}
	for _, l := range r.Latencies() {
		e.latency(l.Name, l.Quantiles)
	}
	for _, c := range r.Causes() {
		e.gauge("ssegauge_failures", "Streams that failed or ended early and publishes that failed, by cause.", float64(c.Count), "cause", c.Text, "owner", c.Owner)
	}
	e.thresholds(r.Gates)
	e.findings(r.Load.Findings)
	for i, s := range r.Series {
		if slices.ContainsFunc(r.Series[:i], func(o result.Series) bool { return o.Name == s.Name }) {
			continue // one metric, its points in order
		}
		for i, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				at := e.start + float64(i)*float64(max(s.StepMS, 1))/1e3
				name, value := s.Name, v
				family := e.family("gauge", "", "ssegauge_series", "What was measured over time; times in seconds.")
				if base, ok := strings.CutSuffix(name, "_us"); ok {
					name, value = base+"_seconds", v/1e6
				}
				e.add(family, "", value, at, "name", name)
			}
		}
	}
}

func (e *exposition) thresholds(gates []result.Gate) {
	for _, g := range gates {
		pass := 0.0
		if g.Pass {
			pass = 1
		}
		e.gauge("ssegauge_threshold_pass", "Whether a threshold was met.", pass, "threshold", g.Expression)
	}
}

func (e *exposition) limits(l *result.Limits) {
	for _, x := range l.Limits {
		e.gauge("ssegauge_limit_verdict", "A limit that was looked for, and its verdict.", 1, "id", x.ID, "verdict", x.Verdict)
		for _, b := range []struct {
			name  string
			value *float64
		}{{"low", x.Low}, {"high", x.High}} {
			if b.value != nil {
				e.gauge("ssegauge_limit", "The greatest value that works lies from low to high; where no limit was found low alone is known to work.", *b.value, "id", x.ID, "bound", b.name, "unit", x.Unit, "owner", x.Owner)
			}
		}
	}
	for _, r := range l.Curve {
		streams := strconv.Itoa(r.Streams)
		for _, q := range []struct {
			metric, at string
			us         *float64
		}{{"open", "0.99", r.OpenP99US}, {"deliver", "0.5", r.DeliverP50US}, {"deliver", "0.99", r.DeliverP99US}} {
			if q.us != nil {
				e.gauge("ssegauge_curve_latency_seconds", "Latencies by the number of streams; those that cannot be resolved are left out.", *q.us/1e6, "streams", streams, "metric", q.metric, "at", q.at)
			}
		}
		e.gauge("ssegauge_curve_events_per_second", "Events delivered a second, by the number of streams.", r.EventsPerSecond, "streams", streams)
		e.gauge("ssegauge_curve_failed", "Streams that could not be opened or ended before their time, by the number of streams.", float64(r.Failed), "streams", streams)
		e.gauge("ssegauge_curve_lost", "Events lost, by the number of streams.", float64(r.Lost), "streams", streams)
	}
	if l.Knee != nil && l.Knee.Peak != nil {
		const help = "Streams from which on more bring no more events, with the ends of its 95 % interval."
		e.gauge("ssegauge_knee_streams", help, *l.Knee.Peak, "bound", "peak")
		e.gauge("ssegauge_knee_streams", help, l.Knee.CI95[0], "bound", "low")
		e.gauge("ssegauge_knee_streams", help, l.Knee.CI95[1], "bound", "high")
	}
	e.thresholds(l.Thresholds)
}

// latency is a summary, of the quantiles that the sample resolves.
func (e *exposition) latency(name string, q *result.Quantiles) {
	f := e.family("summary", "seconds", "ssegauge_latency_seconds", "Latencies of what came; quantiles that the sample cannot resolve are left out.")
	for _, p := range []float64{0.5, 0.9, 0.99, 0.999} {
		if us := q.At(p); us != nil {
			e.add(f, "", *us/1e6, e.at, "metric", name, "quantile", strconv.FormatFloat(p, 'f', -1, 64))
		}
	}
	e.add(f, "_count", float64(max(q.Count, 0)), e.at, "metric", name)
	if q.Mean != nil {
		e.add(f, "_sum", *q.Mean*float64(q.Count)/1e6, e.at, "metric", name)
	}
	for _, b := range []struct {
		name, help string
		us         *float64
	}{{"ssegauge_latency_min_seconds", "The shortest.", q.Min}, {"ssegauge_latency_max_seconds", "The longest of those that came.", q.Max}} {
		if b.us != nil {
			e.gauge(b.name, b.help, *b.us/1e6, "metric", name)
		}
	}
	for _, p := range []struct{ name, at string }{{"p50", "0.5"}, {"p90", "0.9"}, {"p99", "0.99"}, {"p99_9", "0.999"}} {
		i := q.CI95[p.name]
		for _, b := range []struct {
			name string
			us   *float64
		}{{"low", i.Low}, {"high", i.High}} {
			if b.us != nil {
				e.gauge("ssegauge_latency_ci95_seconds", "Where a quantile lies with 95 % confidence.", *b.us/1e6, "metric", name, "at", p.at, "bound", b.name)
			}
		}
	}
	e.gauge("ssegauge_latency_never", "How many never came: they are longer than every quantile.", float64(max(q.Never, 0)), "metric", name)
}

func (e *exposition) bytes() []byte {
	var out bytes.Buffer
	for _, f := range e.families {
		fmt.Fprintf(&out, "# TYPE %s %s\n", f.name, f.kind)
		if f.unit != "" {
			fmt.Fprintf(&out, "# UNIT %s %s\n", f.name, f.unit)
		}
		fmt.Fprintf(&out, "# HELP %s %s\n", f.name, escape(f.help))
		out.Write(f.samples.Bytes())
	}
	out.WriteString("# EOF\n")
	return out.Bytes()
}

// escape makes the value of a label of what a target may have a say in.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(result.Escape(s))
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
