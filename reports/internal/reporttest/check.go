package reporttest

import (
	"strings"
	"time"

	"ssegauge/reports/result"
)

func head(schema, url, http string, ms float64) *result.Run {
	return &result.Run{
		Schema:     schema,
		Tool:       result.Tool{Version: "1.0.0", Go: "go1.26.0"},
		Target:     result.Target{URL: url, HTTP: http},
		Started:    time.Date(2026, 3, 16, 9, 30, 0, 0, time.UTC),
		DurationMS: ms,
	}
}

func check(url string, ms float64, findings ...result.Finding) *result.Run {
	r := head(result.SchemaCheck, url, "1.1", ms)
	r.Check = &result.Check{Summary: result.Summarise(findings), Results: findings}
	return r
}

func finding(v result.Verdict, id string, level result.Level, clause, title, message string) result.Finding {
	core := strings.Contains(" http/status http/content-type http/no-content-length encoding/utf8 framing/field-names retry/digits ", " "+id+" ")
	return result.Finding{ID: id, Title: title, Level: level, Clause: clause, Verdict: v, Message: message, Core: core, Reproduce: "curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8080/events'"}
}

func undecided(flag, id, title, message string) result.Finding {
	f := finding(result.NotObserved, id, result.Contract, "no clause; contract", title, message)
	f.DecidedBy = flag
	if flag != "" {
		f.Hint = flag + " would decide it"
	}
	return f
}

func good() []result.Finding {
	return []result.Finding{
		finding(result.Pass, "http/status", result.Must, "WHATWG HTML 9.2.2", "The stream is answered with 200", "200 OK"),
		finding(result.Pass, "http/content-type", result.Must, "WHATWG HTML 9.2.5", "The media type is text/event-stream", "text/event-stream"),
		finding(result.Pass, "http/no-content-length", result.Should, "RFC 9112 6.3", "An endless stream declares no length", "chunked"),
		finding(result.Info, "http/cache-control", result.Advice, "RFC 9111 5.2.2.5", "Caches are told to keep out", "Cache-Control: no-store"),
		finding(result.Pass, "encoding/utf8", result.Must, "WHATWG HTML 9.2.5", "The stream is UTF-8", "12 events, 1,482 bytes"),
		finding(result.Pass, "framing/field-names", result.Must, "WHATWG HTML 9.2.6", "Field names are spelt right", "data, id, event"),
		finding(result.Pass, "retry/digits", result.Must, "WHATWG HTML 9.2.6", "retry is digits only", "retry: 3000"),
		finding(result.NotApplicable, "h2/connection-headers", result.Must, "RFC 9113 8.2.2", "No connection fields in HTTP/2", "HTTP/1.1 was spoken"),
	}
}

// Clean is a check on which nothing is wrong.
func Clean() *result.Run {
	return check("http://127.0.0.1:8080/events", 3182.4, append(good(),
		undecided("--publish", "data/multiline", "Lines of data are split over data fields", "needs a way to publish"),
		undecided("--publish", "resume/replay", "Missed events are replayed", "needs a way to publish"),
		undecided("", "live/heartbeat", "An idle stream is kept alive", "no comment within 20 s: a slower heartbeat cannot be seen in this window"),
	)...)
}

// Hostile is text as a target might send it to harm who reads the report.
const Hostile = "<script>alert(1)</script>\"'`\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\x00\xff\u0085|*_[x](javascript:alert(1))\r\n=cmd|' /C calc'!A0"

// Failing is a check of a server that does much wrong, and says hostile things.
func Failing() *result.Run {
	fs := good()
	fs[1].Verdict, fs[1].Message = result.Warn, "text/event-stream;charset=latin1: the charset parameter can only be utf-8"
	fs[1].Hint = "Drop the parameter."

	utf := []byte("id: 7\ndata: caf\xe9 au lait, with a rather long line of text behind it so that the excerpt is cut\n\n")
	fs[4].Verdict, fs[4].Message = result.Fail, "ill-formed UTF-8 at byte 1,044 of c1"
	fs[4].Hint = "Encode what is written to the stream as UTF-8; clients show U+FFFD in its place."
	ev := result.NewEvidence(utf, 15, 16)
	ev.Connection, ev.Offset, ev.TimeMS = "c1", 1044, 1204.125
	fs[4].Evidence = []result.Evidence{ev}

	lines := []byte("data: first\nsecond\n\n")
	multi := finding(result.Fail, "data/multiline", result.Contract, "no clause; contract", "Lines of data are split over data fields",
		`published "first\nsecond", arrived "first": the second line went out without a field name`)
	multi.Hint = "Write one data field for each line of the payload."
	ev = result.NewEvidence(lines, 12, 18)
	ev.Connection, ev.Offset, ev.TimeMS = "c3", 226, 1530.5
	end := result.NewEvidence([]byte("data: {\"a\": 1}\n"), 15, 15)
	end.Connection, end.Offset, end.TimeMS = "c4", 15, 20031
	multi.Evidence = []result.Evidence{ev, end}
	multi.Reproduce = `printf 'first\nsecond' | curl -s --data-binary @- -H 'Authorization: Bearer ***' 'http://127.0.0.1:8080/publish?token=***'`

	bad := []byte("event: " + Hostile + "\ndata: x\n\n")
	hostile := finding(result.Fail, "sec/inject/data-cr", result.Security, "WHATWG HTML 9.2.6", "A CR in data starts no field of its own", "the server said "+Hostile)
	hostile.Hint = "Split data at CR too: " + Hostile
	ev = result.NewEvidence(bad, 7, len(bad)-10)
	ev.Connection, ev.Offset = "c5", 7
	hostile.Evidence = []result.Evidence{ev}

	harness := finding(result.Error, "http/head", result.Must, "RFC 9110 9.3.2", "HEAD is answered like GET", "connection refused")
	fs = append(fs, multi, hostile, harness,
		undecided("--active", "robust/long-line", "Long lines are answered", "sends large payloads"),
		undecided("--publish", "delivery/burst", "A burst arrives whole", "needs a way to publish"),
		undecided("--publish", "delivery/every-subscriber", "Each subscriber gets each event", "needs a way to publish"),
	)
	return check("http://***@127.0.0.1:8080/events?token=***", 20418, fs...)
}

// Interrupted is a check that was broken off before much was known.
func Interrupted() *result.Run {
	fs := good()[:3]
	for _, id := range []string{"encoding/utf8", "framing/field-names", "retry/digits"} {
		f := finding(result.NotObserved, id, result.Must, "WHATWG HTML 9.2.6", "The stream is right", "interrupted before it was decided")
		fs = append(fs, f)
	}
	r := check("http://127.0.0.1:8080/events", 1201, fs...)
	r.Interrupted = true
	return r
}

// Unreachable is a check of a target that nobody answered at, one of several.
func Unreachable() *result.Run {
	r := check("http://127.0.0.1:8082/events", 3)
	r.Target.HTTP, r.Error = "", "connect 127.0.0.1:8082: connection refused"
	return r
}

// Several are checks of three targets: one is right, one says hostile things, at the third there is nobody.
func Several() []*result.Run {
	return []*result.Run{Clean(), Failing(), Unreachable()}
}
