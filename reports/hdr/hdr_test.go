package hdr_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/hdr"
	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

func render(t *testing.T, runs ...*result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := hdr.Render(&b, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		reporttest.Golden(t, r.Name+".hlog", []byte(render(t, r.Run)))
	}
	reporttest.Golden(t, "several.hlog", []byte(render(t, reporttest.LoadFew(), reporttest.Clean(), reporttest.LoadFew())))
}

// What a reader of such logs finds is what was measured.
func TestRead(t *testing.T) {
	r := reporttest.LoadFailing()
	r.LatencyUS["with, what no tag may hold\n"] = r.LatencyUS["open"]
	for prefix, runs := range map[string][]*result.Run{"": {r}, "2.": {reporttest.LoadFew(), r}} {
		log := hdrhistogram.NewHistogramLogReader(strings.NewReader(render(t, runs...)))
		read := map[string]*hdrhistogram.Histogram{}
		for {
			h, err := log.NextIntervalHistogram()
			if err != nil {
				t.Fatal(err)
			}
			if h == nil {
				break
			}
			if read[h.Tag()] != nil {
				t.Errorf("%s stands twice", h.Tag())
			}
			read[h.Tag()] = h
		}
		for name, q := range r.LatencyUS {
			if strings.HasPrefix(name, "with") {
				name = "with__what_no_tag_may_hold_"
			}
			h := read[prefix+name]
			if h == nil {
				t.Errorf("no %s among %d", prefix+name, len(read))
				continue
			}
			if h.TotalCount() != q.Count || float64(h.Max()) != *q.Max || h.StartTimeMs() != r.Started.UnixMilli() || h.EndTimeMs()-h.StartTimeMs() != int64(r.DurationMS) {
				t.Errorf("%s: %d values to %d, %d to %d", name, h.TotalCount(), h.Max(), h.StartTimeMs(), h.EndTimeMs())
			}
		}
		if h := read[prefix+"generator.delay"]; h == nil || h.TotalCount() != r.Generator.DelayUS.Count {
			t.Errorf("own delay: %v", h)
		}
	}
}
