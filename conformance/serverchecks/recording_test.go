package serverchecks_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reference/publish"
	"ssegauge/reference/server"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// replay judges a file again, where there is no network.
func replay(t *testing.T, file []byte, checks []conformance.Check) *result.Run {
	t.Helper()
	rec, err := conformance.ReadRecording(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var run *result.Run
	synctest.Test(t, func(t *testing.T) {
		if run, err = rec.Replay(t.Context(), checks, conformance.Options{}); err != nil {
			t.Fatal(err)
		}
	})
	return run
}

// uncounted is a message without its numbers: how much of a stream was watched may differ by an event that came at the very end, or at the moment a check began to publish.
func uncounted(message string) string { return numbers.ReplaceAllString(message, "N") }

var numbers = regexp.MustCompile(`[0-9.]+`)

// What is recorded is judged again as it was, whatever is wrong with the server and however it is spoken to.
func TestReplayJudgesTheSame(t *testing.T) {
	for _, c := range []struct {
		path, fault string
		proto       wire.Proto
		hook        bool
	}{
		{"/events?channel=t", "", wire.HTTP11, true}, // with all that an operator can lend
		{"/events?channel=t", "", wire.H2C, true},
		{"/tick?interval=500ms", "", wire.HTTP11, false},
		{"/tick?interval=500ms&count=5", "", wire.H2C, false},
		{"/events?channel=t", "http/status", wire.HTTP11, true},
		{"/events?channel=t", "live/headers-flushed", wire.HTTP11, true},
		{"/events?channel=t", "resume/replay", wire.H2C, true},
		{"/events?channel=t", "data/multiline", wire.HTTP11, true},
		{"/events?channel=t", "live/second-connection", wire.HTTP11, true},
	} {
		t.Run(c.proto.String()+c.path+" "+c.fault, func(t *testing.T) {
			t.Parallel()
			rec := conformance.NewRecording()
			var lent conformance.Needs
			if c.hook && c.fault == "" && c.proto == wire.HTTP11 {
				lent = conformance.Scenario | conformance.Gauge | conformance.Kill
			}
			first := checkRecorded(t, c.path, c.fault, c.proto, lent, func(t *conformance.Target) {
				if !c.hook {
					t.Publisher = nil
				}
			}, rec)
			var file bytes.Buffer
			if err := rec.Write(&file); err != nil {
				t.Fatal(err)
			}
			again := replay(t, file.Bytes(), serverchecks.All())
			if len(again.Results) != len(first) {
				t.Errorf("%d findings, there were %d", len(again.Results), len(first))
			}
			for _, f := range again.Results {
				if want := first[f.ID]; f.Verdict != want.Verdict || uncounted(f.Message) != uncounted(want.Message) {
					t.Errorf("%s: %s: %s\nat first it was %s: %s", f.ID, f.Verdict, f.Message, want.Verdict, want.Message)
				}
			}
			if t.Failed() {
				for line := range strings.Lines(file.String()) {
					t.Logf("%.300s", line)
				}
			}
		})
	}
}

// Over TLS what is recorded is what was within, and no credential gets into the file, whatever way it went.
func TestReplayOverTLS(t *testing.T) {
	cert, err := server.SelfSigned("reference.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range []wire.Proto{wire.HTTP11, wire.HTTP2} {
		rec := conformance.NewRecording()
		first := map[string]result.Finding{}
		synctest.Test(t, func(t *testing.T) {
			srv, err := server.New(server.Config{PublishToken: "publish-s3cret"})
			if err != nil {
				t.Fatal(err)
			}
			l := listen()
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() {
				served <- srv.Serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
			}()
			trust := &tls.Config{InsecureSkipVerify: true}
			tr := &http.Transport{DialContext: l.dial, TLSClientConfig: trust}
			pub, err := publish.Compile(publish.Hook{
				HTTP: "POST https://reference.example/publish?channel=t&key=hook-s3cret", Header: []string{"Authorization: Bearer publish-s3cret"},
				Body: `{"data":{{json .Data}},"event":{{json .Event}},"id":{{json .ID}}}`, Transport: tr,
			})
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse("https://user:url-s3cret@reference.example/events?channel=t&token=query-s3cret")
			tg := conformance.Target{
				Request: wire.Request{URL: u, Header: wire.Header{
					{Name: "Accept", Value: "text/event-stream"}, {Name: "Cookie", Value: "session=cookie-s3cret"}, {Name: "X-Api-Key", Value: "field-s3cret"},
				}},
				Dialer: wire.Dialer{NetDial: l.dial, Proto: proto, TLS: trust}, Publisher: pub,
			}
			run, err := conformance.Run(t.Context(), tg, serverchecks.All(), conformance.Options{Recording: rec})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range run.Results {
				first[f.ID] = f
			}
			tr.CloseIdleConnections()
			cancel()
			<-served
		})
		var file bytes.Buffer
		if err := rec.Write(&file); err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(file.String(), "s3cret"); at >= 0 {
			t.Errorf("a credential: %s", file.String()[max(0, at-200):at+6])
		}
		if !strings.Contains(file.String(), "data: gauge") && !strings.Contains(file.String(), `base64`) {
			t.Error("nothing of the stream is in the recording")
		}
		passed := 0
		for _, f := range replay(t, file.Bytes(), serverchecks.All()).Results {
			if want := first[f.ID]; f.Verdict != want.Verdict || uncounted(f.Message) != uncounted(want.Message) || f.Reproduce != want.Reproduce {
				t.Errorf("%s: %s: %s: %s\nat first it was %s: %s: %s", f.ID, f.Verdict, f.Message, f.Reproduce, want.Verdict, want.Message, want.Reproduce)
			}
			if f.Verdict == result.Pass {
				passed++
			}
		}
		if passed < 50 {
			t.Errorf("only %d checks passed over %s", passed, proto)
		}
	}
}

// A check that asks what nobody asked then cannot be judged, and says so; the others are not touched by it. Fewer checks are judged as they were.
func TestReplayOfOtherChecks(t *testing.T) {
	rec := conformance.NewRecording()
	first := checkRecorded(t, "/events?channel=t", "", wire.HTTP11, 0, nil, rec)
	var file bytes.Buffer
	if err := rec.Write(&file); err != nil {
		t.Fatal(err)
	}
	ask := conformance.Check{ID: "test/new", Level: result.Must, Run: func(ctx context.Context, p *conformance.Probe) {
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		r := p.Request()
		r.Method = "PATCH"
		if c := p.Open(ctx, r, time.Second); c.Err != nil {
			p.Fail("no answer")
			return
		}
		p.Pass("an answer")
	}}
	only := func(ids ...string) (some []conformance.Check) {
		for _, c := range serverchecks.All() {
			if slices.Contains(ids, c.ID) {
				some = append(some, c)
			}
		}
		return some
	}
	for _, checks := range [][]conformance.Check{append(serverchecks.All(), ask), append(only("http/head", "resume/replay", "data/multiline", "retry/digits"), ask)} {
		for _, f := range replay(t, file.Bytes(), checks).Results {
			switch want := first[f.ID]; {
			case f.ID == "test/new":
				if f.Verdict != result.NotObserved || !strings.HasPrefix(f.Message, "not in the recording: PATCH http://reference.example/events") {
					t.Errorf("%s: %s", f.Verdict, f.Message)
				}
			case f.Verdict != want.Verdict:
				t.Errorf("%s: %s: %s\nat first it was %s: %s", f.ID, f.Verdict, f.Message, want.Verdict, want.Message)
			}
		}
	}
}

// What is no recording is refused with the line, and so is one that breaks off.
func TestReadRecording(t *testing.T) {
	for in, want := range map[string]string{
		"":               "line 1: not a recording",
		"x":              "line 1: not a recording",
		`{"type":"run"}`: `line 1: format "" is not known`,
		`{"type":"recording","format":"ssegauge/recording/v9"}`:                                               `format "ssegauge/recording/v9" is not known here (known: ssegauge/recording/v1)`,
		`{"type":"recording","format":"ssegauge/recording/v1"}`:                                               "breaks off",
		"{\"type\":\"recording\",\"format\":\"ssegauge/recording/v1\"}\n{\"type\":\"connection\",\"addr\":7}": "line 2: connection:",
	} {
		if _, err := conformance.ReadRecording(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
	rec, err := conformance.ReadRecording(strings.NewReader("{\"type\":\"recording\",\"format\":\"ssegauge/recording/v1\"}\n{\"type\":\"end\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Replay(t.Context(), serverchecks.All(), conformance.Options{}); err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Errorf("a recording without a target: %v", err)
	}
}
