// Package hdr writes the latencies of load runs as a HdrHistogram interval log: a line for each metric, tagged with its name, over the whole of its run. Tools
// that read such logs can draw, cut and merge them. Values are microseconds, so that the column of the maximum is in seconds.
//
// What a histogram cannot hold stands in comments: what never came, and the runs that have no latency. It imports reports/result.
package hdr

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Render writes the log of the runs, with the first one's start as the base of all times. The tags of several begin with the number of their run: "2.deliver".
func Render(w io.Writer, all ...*result.Run) error {
	var out bytes.Buffer
	log := hdrhistogram.NewHistogramLogWriter(&out)
	comment := func(format string, args ...any) { _ = log.OutputComment(" " + fmt.Sprintf(format, args...)) } // to memory
	_ = log.OutputLogFormatVersion()
	for i, r := range all {
		r = r.Complete()
		start := r.Started.UnixMilli()
		if i == 0 {
			_ = log.OutputBaseTime(start)
			_ = log.OutputStartTime(start)
			log.SetBaseTime(start / 1000 * 1000) // a line of it holds whole seconds
		}
		prefix := ""
		if len(all) > 1 {
			prefix = fmt.Sprintf("%d.", i+1)
			comment("run %d", i+1)
		}
		comment("target %s, %s", result.Escape(r.Target.URL), result.Escape(result.Protocol(r.Target.HTTP)))
		comment("%s", r.Sentence())
		switch {
		case r.Load != nil:
		case r.Check != nil:
			comment("a check measures no latency")
			continue
		case r.Limits != nil:
			comment("a search for limits keeps no histograms: its curve is in the other formats")
			continue
		default:
			return fmt.Errorf("hdr: nothing to report in a run of schema %q", r.Schema)
		}
		comment("values in microseconds, maxima in seconds")
		_ = log.OutputLegend()
		put := func(name string, q *result.Quantiles) error {
			name = tag(name)
			if q.Never > 0 {
				comment("%s: %s more never came", name, result.Count(q.Never))
			}
			h, err := q.Hist()
			switch {
			case err != nil:
				comment("%s: %s", name, result.Escape(err.Error()))
				return nil
			case h == nil:
				return nil
			}
			h.SetTag(prefix + name)
			h.SetStartTimeMs(start)
			h.SetEndTimeMs(start + int64(r.DurationMS))
			return log.OutputIntervalHistogram(h)
		}
		for _, l := range r.Latencies() {
			if err := put(l.Name, l.Quantiles); err != nil {
				return fmt.Errorf("hdr: %w", err)
			}
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// tag makes of a name what the format takes for one: no comma, no space, nothing that does not print.
func tag(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
			return c
		}
		return '_'
	}, name)
}
