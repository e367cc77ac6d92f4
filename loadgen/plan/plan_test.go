package plan_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/plan"
)

// The examples decode, are valid, and show no credentials.
func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	if len(files) < 2 {
		t.Fatal("no examples")
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Decode(f)
		f.Close()
		if err == nil {
			p.In("testdata")
			err = p.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := json.Marshal(p.Map())
		if err != nil || strings.Contains(string(b), "secret") {
			t.Errorf("%s: %s, %v", name, b, err)
		}
		if _, _, err := p.Targets[0].Open(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	p := &plan.Plan{Targets: []plan.Target{{URL: "http://h/"}}, Streams: 10_000, Publish: &plan.Publish{HTTP: "POST http://h/publish"}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if p.Ramp != 5*time.Second || p.Hold != plan.DefaultDuration || p.StreamsPerConn != 100 || p.Publish.Rate != 10 || p.PublishStart() != 6*time.Second {
		t.Errorf("%+v %+v", p, p.Publish)
	}
	if o := p.Openings(); o.Len() != 10_000 || o.At(9999) >= 5*time.Second {
		t.Errorf("%d openings, the last at %v", o.Len(), o.At(9999))
	}
	if e, _ := p.Events(); e.Len() != 100 {
		t.Errorf("%d events", e.Len())
	}
	before := *p
	if err := p.Validate(); err != nil || p.Ramp != before.Ramp {
		t.Errorf("validating twice: %v, %+v", err, p)
	}
	p.Segment = plan.Segment{Index: 1, Count: 3}
	if o := p.Openings(); o.Len() != 3333 || o.At(0) != 500*time.Microsecond {
		t.Errorf("second third: %d from %v", o.Len(), o.At(0))
	}
	burst := &plan.Plan{Targets: p.Targets, Ramp: -1}
	if err := burst.Validate(); err != nil || burst.RampTime() != 0 || burst.Openings().At(99) != 0 {
		t.Errorf("burst: %v, %v", err, burst.RampTime())
	}
}

// Streams arrive as the plan says, and a plan that was validated is valid.
func TestArrivals(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		yaml    string
		streams int
		ramp    time.Duration
		last    time.Duration // of the openings; 0: by chance
	}{
		{"streams: 100\nopen_rate: 20/s", 100, 5 * s, 4950 * time.Millisecond},
		{"streams: 100\nopen_rate: 20/s\narrival: poisson", 100, 5 * s, 0},
		{"stages: [{streams: 10, over: 0s, hold: 30s}, {streams: 20, over: 0s, hold: 30s}]", 20, 60 * s, 30 * s},
		{"stages: [{streams: 10, over: 10s}, {streams: 20, over: 10s}]\narrival: poisson\nseed: 5", 20, 20 * s, 0},
	} {
		p, err := plan.Decode(strings.NewReader("targets: [{url: 'http://h/'}]\n" + c.yaml))
		for range 2 {
			if err == nil {
				err = p.Validate()
			}
		}
		if err != nil {
			t.Errorf("%s: %v", c.yaml, err)
			continue
		}
		o := p.Openings()
		last := o.At(o.Len() - 1)
		if o.Len() != c.streams || p.RampTime() != c.ramp || c.last > 0 && last != c.last || c.last == 0 && (last >= c.ramp || last%time.Millisecond == 0) {
			t.Errorf("%s: %d in %v, the last at %v", c.yaml, o.Len(), p.RampTime(), last)
		}
	}
	p := &plan.Plan{Targets: []plan.Target{{URL: "http://h/"}}, Publish: &plan.Publish{HTTP: "POST http://h/publish", Arrival: plan.Poisson}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if e, _ := p.Events(); e.Len() != 100 || e.At(50)%time.Millisecond == 0 {
		t.Errorf("%d events, one at %v", e.Len(), e.At(50))
	}
}

func TestParseStages(t *testing.T) {
	got, err := plan.ParseStages("10s:1000, 0s:5000:30s")
	if want := []plan.Stage{{Streams: 1000, Over: 10 * time.Second}, {Streams: 5000, Hold: 30 * time.Second}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, in := range []string{"", "10s", "1000:10s", "10s:x", "10s:1:x", "10s:1:1s:1", "10s:1,"} {
		if got, err := plan.ParseStages(in); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

// Every mistake is one line with its place.
func TestMistakes(t *testing.T) {
	const target = "targets: [{url: 'http://h/'}]\n"
	for _, c := range []struct{ yaml, want string }{
		{"", "plan: YAML: the file is empty"},
		{"streems: 3", "plan: YAML: line 1: field streems not found"},
		{"a: [", "plan: YAML: "},
		{target + "---\n" + target, "plan: YAML: more than one document"},
		{target + "reconnect: {delay: -1s}", "plan: reconnect.delay: -1s"},
		{target + "reconnect: {jitter: 0.1}", "plan: YAML: share \"0.1\""},
		{target + "slow_readers: {rate: 5}", "plan: slow_readers.share: none given"},
		{target + "slow_readers: {share: 5%, rate: -5}", "plan: slow_readers.rate: -5"},
		{target + "finite: true\nslow_readers: {share: 5%}", "plan: slow_readers: streams that are meant to end"},
		{target + "finite: true\nchurn: 5/s", "plan: churn: streams that are meant to end"},
		{target + "finite: true\nreconnect: {}", "plan: reconnect: streams that are meant to end"},
		{"streams: 3", "plan: targets: none given"},
		{"targets: [{url: 'localhost:8080/events'}]", `plan: targets[0].url: "localhost:8080/events" is not an absolute`},
		{"targets: [{url: 'http://h/', http: '3'}]", `plan: targets[0].http: "3"; want auto, 1.1, 2 or h2c`},
		{"targets: [{url: 'https://h/', http: h2c}]", "plan: targets[0].http: h2c does not go with https://"},
		{"targets: [{url: 'http://h/', header: ['no colon']}]", "plan: targets[0].header: number 1: no colon"},
		{"targets: [{url: 'http://h/', header: [\"A: x\\ny\"]}]", "plan: targets[0].header: number 1: the value of A holds a control character"},
		{"targets: [{url: 'http://h/', method: 'GE T'}]", "plan: targets[0].method: "},
		{"targets: [{url: 'http://h/', cert: a.pem}]", "plan: targets[0].cert: cert and key go together"},
		{target + "streams: -1", "plan: streams: -1; want 1 to"},
		{target + "streams: 6\nstages: [{streams: 5, over: 1s}]", "plan: stages: given together with streams"},
		{target + "open_rate: 5/s\nstages: [{streams: 5, over: 1s}]", "plan: stages: given together with streams, ramp or open_rate"},
		{target + "open_rate: 5/s\nramp: 5s", "plan: open_rate: given together with ramp"},
		{target + "streams: 1000000\nopen_rate: 1/h", "plan: streams: opening 1000000 of them takes longer"},
		{target + "stages: [{streams: 5, over: 1s, hold: -1s}]", "plan: stages[0].hold: -1s is negative"},
		{target + "arrival: random", "plan: arrival: \"random\"; want constant or poisson"},
		{target + "arrival: poisson\nramp: -1s", "plan: arrival: poisson with all streams at once"},
		{target + "seed: -1", "plan: YAML: "},
		{target + "publish: {http: POST http://h/, arrival: even}", "plan: publish.arrival: \"even\"; want"},
		{target + "duration: 1000h\npublish: {http: POST http://h/, arrival: poisson, rate: 1000/s}", "plan: publish.arrival: poisson with 3600000000 events"},
		{target + "stages: [{streams: 5, over: 1s}, {streams: 4, over: 1s}]", "plan: stages[1].streams: 4 is below the stage before"},
		{target + "stages: [{streams: 5, over: -1s}]", "plan: stages[0].over: -1s is negative"},
		{target + "duration: -1s", "plan: duration: -1s is negative"},
		{target + "streams_per_conn: -1", "plan: streams_per_conn: -1; want"},
		{target + "publish: {rate: 5/s}", "plan: publish.http: neither http nor command"},
		{target + "publish: {http: POST http://h/, command: x}", "plan: publish.http: more than one of http, command and stdin"},
		{target + "publish: {http: POST http://h/, stdin: x}", "plan: publish.http: more than one of http, command and stdin"},
		{target + "publish: {http: POST http://h/, protocol: '3'}", "plan: publish.protocol: \"3\"; want auto, 1.1, 2 or h2c"},
		{target + "publish: {http: POST http://h/, rate: 5/y}", "5/y"},
		{target + "publish: {http: POST http://h/, rate: 1000000/s, deadline: 1h}", "plan: publish.deadline: 1h0m0s at 1e+06/s is"},
		{target + "publish: {http: POST http://h/, size: -1}", "plan: publish.size: -1; want"},
		{target + "publish: {http: POST http://h/, settle: -1s}", "plan: publish.settle: -1s is negative"},
	} {
		p, err := plan.Decode(strings.NewReader(c.yaml))
		if err == nil {
			err = p.Validate()
		}
		var pe *plan.Error
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want *plan.Error with %q on one line", c.yaml, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]plan.Rate{"10/s": 10, "90/m": 1.5, "36/h": 0.01, "7": 7, "0.5/s": 0.5, "1000000/s": 1e6} {
		if got, err := plan.ParseRate(in); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0/s", "-1/s", "x", "1/d", "NaN", "Inf", "2000000/s", "5/"} {
		if got, err := plan.ParseRate(in); err == nil {
			t.Errorf("ParseRate(%q) = %v", in, got)
		}
	}
	if s, err := plan.ParseSegment("2:5"); err != nil || s.String() != "2:5" {
		t.Errorf("%v, %v", s, err)
	}
	for _, in := range []string{"", "1", "1:1", "-1:2", "0:0", "a:b"} {
		if s, err := plan.ParseSegment(in); err == nil {
			t.Errorf("ParseSegment(%q) = %v", in, s)
		}
	}
}
