package plan_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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

// Every mistake is one line with its place.
func TestMistakes(t *testing.T) {
	const target = "targets: [{url: 'http://h/'}]\n"
	for _, c := range []struct{ yaml, want string }{
		{"", "plan: YAML: the file is empty"},
		{"streems: 3", "plan: YAML: line 1: field streems not found"},
		{"a: [", "plan: YAML: "},
		{target + "---\n" + target, "plan: YAML: more than one document"},
		{"streams: 3", "plan: targets: none given"},
		{"targets: [{url: 'localhost:8080/events'}]", `plan: targets[0].url: "localhost:8080/events" is not an absolute`},
		{"targets: [{url: 'http://h/', http: '3'}]", `plan: targets[0].http: "3"; want auto, 1.1, 2 or h2c`},
		{"targets: [{url: 'https://h/', http: h2c}]", "plan: targets[0].http: h2c does not go with https://"},
		{"targets: [{url: 'http://h/', header: ['no colon']}]", "plan: targets[0].header: number 1: no colon"},
		{"targets: [{url: 'http://h/', header: [\"A: x\\ny\"]}]", "plan: targets[0].header: number 1: the value of A holds a control character"},
		{"targets: [{url: 'http://h/', method: 'GE T'}]", "plan: targets[0].method: "},
		{"targets: [{url: 'http://h/', cert: a.pem}]", "plan: targets[0].cert: cert and key go together"},
		{target + "streams: -1", "plan: streams: -1; want 1 to"},
		{target + "streams: 5\nstages: [{streams: 5, over: 1s}]", "plan: stages: given together with streams"},
		{target + "stages: [{streams: 5, over: 1s}, {streams: 4, over: 1s}]", "plan: stages[1].streams: 4 is below the stage before"},
		{target + "stages: [{streams: 5, over: -1s}]", "plan: stages[0].over: -1s is negative"},
		{target + "duration: -1s", "plan: duration: -1s is negative"},
		{target + "streams_per_conn: -1", "plan: streams_per_conn: -1; want"},
		{target + "publish: {rate: 5/s}", "plan: publish.http: neither http nor command"},
		{target + "publish: {http: POST http://h/, command: x}", "plan: publish.http: given together with command"},
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
