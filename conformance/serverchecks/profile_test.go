package serverchecks_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// answers makes a peer of what it says to a call, piece by piece and 100 ms apart; any other method is refused.
func answers(head string, pieces ...string) func(*peer) {
	return func(p *peer) {
		p.linger = func(*request) time.Duration { return 0 } // it may still speak when the run is over
		p.answer = func(_ *peer, q *request) bool {
			if q.Method != "POST" {
				q.write("HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			io.Copy(io.Discard, q.Body)
			time.Sleep(300 * time.Millisecond) // it thinks
			head, frame, end := head, chunk, "0\r\n\r\n"
			if q.ProtoMinor == 0 { // which knows no chunks
				head, end = strings.Replace(head, "Transfer-Encoding: chunked\r\n", "", 1), ""
				frame = func(s string) string { return s }
			}
			q.write(head)
			for _, s := range pieces {
				time.Sleep(100 * time.Millisecond)
				if !q.write(frame(s)) {
					return true
				}
			}
			q.write(end)
			return true
		}
	}
}

// called asks with a POST, as a client of a call does.
func called(body string, fields ...string) func(*conformance.Target) {
	return func(t *conformance.Target) {
		t.Publisher = nil
		t.Request.Method, t.Request.Body = "POST", []byte(body)
		t.Request.Header = wire.Header{{Name: "Accept", Value: "application/json, text/event-stream"}, {Name: "Content-Type", Value: "application/json"}}
		for i := 0; i < len(fields); i += 2 {
			t.Request.Header = append(t.Request.Header, wire.Field{Name: fields[i], Value: fields[i+1]})
		}
	}
}

const (
	callHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	chat     = `{"model":"m","stream":true,"messages":[]}`
	toolCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`
)

func tokens(n int, more ...string) []string {
	var pieces []string
	for i := range n {
		pieces = append(pieces, fmt.Sprintf("data: {\"choices\":[{\"delta\":{\"content\":\"%d\"}}]}\n\n", i))
	}
	return append(pieces, more...)
}

// The answer to a call is no feed: it ends, nobody comes back to it, and it is not asked for again. None of the ordinary checks blames it.
func TestCallsStayClean(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func(*peer)
		change func(*conformance.Target)
		want   string
	}{
		{"tokens", answers(callHead, tokens(20, "data: [DONE]\n\n")...), called(chat), "http/status pass, framing/terminated pass, lifecycle/persists not-applicable, http/cache-control pass"},
		{"tokens of a slow model", func(p *peer) {
			answers(callHead, tokens(3, "data: [DONE]\n\n")...)(p)
			next := p.answer
			p.answer = func(p *peer, q *request) bool { time.Sleep(4 * time.Second); return next(p, q) }
		}, called(chat), "live/headers-flushed info"},
		{"an answer that ends with an error", answers(callHead, "event: message_start\ndata: {}\n\n", "event: error\ndata: {\"type\":\"error\"}\n\n"), called(chat), "event/reserved info"},
		{"a tool", answers(callHead, "id: 7-0\ndata: \n\n", "id: 7-1\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n"), called(toolCall), "resume/replay not-applicable, http/head not-applicable"},
		{"one that goes on for longer than the window", answers(callHead, tokens(400)...), called(chat), "framing/terminated not-applicable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			c.make(p)
			found := run(t, p, c.change)
			for _, f := range found {
				if f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error {
					t.Error(show(f))
				}
				if f.Verdict == result.NotObserved {
					t.Log(show(f))
				}
			}
			expect(t, found, c.want)
			if p.accepts > 1 {
				t.Errorf("%d calls were made, of which one was asked for", p.accepts)
			}
		})
		t.Run(c.name+", active", func(t *testing.T) {
			p := clean()
			c.make(p)
			for _, f := range run(t, p, func(t *conformance.Target) { c.change(t); t.Active = true }) {
				if f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error {
					t.Error(show(f))
				}
			}
		})
	}
}

// expect wants "id verdict" pairs.
func expect(t *testing.T, found map[string]result.Finding, pairs string) {
	t.Helper()
	for pair := range strings.SplitSeq(pairs, ", ") {
		if id, verdict, ok := strings.Cut(pair, " "); ok && string(found[id].Verdict) != verdict {
			t.Errorf("want %s: %s", verdict, show(found[id]))
		}
	}
}

const (
	priming  = "id: 7-0\nretry: 1000\ndata:\n\n"
	progress = "id: 7-1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"
	outcome  = "id: 7-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n"
)

// returning answers a GET with Last-Event-ID by pieces, beside what the peer says to a call.
func returning(make func(*peer), head string, pieces ...string) func(*peer) {
	return func(p *peer) {
		make(p)
		calls := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.Method != "GET" {
				return calls(p, q)
			}
			if q.Header.Get("Last-Event-ID") == "" || q.Header.Get("Content-Type") != "" || q.ContentLength > 0 {
				head = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
			}
			if !q.write(head) || !strings.Contains(head, "chunked") {
				return true
			}
			for _, s := range pieces {
				q.write(chunk(s))
			}
			q.write("0\r\n\r\n")
			return true
		}
	}
}

// hubbing is a Mercure hub of one update a second; anchor tells Last-Event-ID of the answer for the one that was asked with.
func hubbing(id func(n int) string, anchor func(asked string) string, history bool) func(*peer) {
	return func(p *peer) {
		p.encode = func(n int, data string) string {
			if id(n) == "" {
				return "data: " + data + "\n\n"
			}
			return "id: " + id(n) + "\ndata: " + data + "\n\n"
		}
		p.head = func(q *request) string {
			asked := q.Header.Get("Last-Event-ID")
			if q.URL.Query().Has("lastEventID") {
				asked = q.URL.Query().Get("lastEventID")
			}
			if asked == "" || anchor(asked) == "" {
				return okHead
			}
			return strings.TrimSuffix(okHead, "\r\n") + "Last-Event-ID: " + anchor(asked) + "\r\n\r\n"
		}
		p.replay = func(q *request, _ int) int {
			if asked := q.Header.Get("Last-Event-ID"); history && asked == "earliest" {
				return 0
			}
			return 1 << 30
		}
	}
}

func TestProfiles(t *testing.T) {
	const new = "2025-11-25"
	mcp := func(pieces ...string) func(*peer) { return answers(callHead, pieces...) }
	tool := called(toolCall, "MCP-Protocol-Version", new)
	acting := func(t *conformance.Target) { tool(t); t.Active = true }
	urn := func(n int) string { return fmt.Sprintf("urn:uuid:%08x-0000-4000-8000-000000000000", n) }
	hub := func(asked string) string {
		if strings.HasSuffix(asked, "-0000-4000-8000-000000000000") && !strings.HasPrefix(asked, "urn:uuid:5e94c686") {
			return asked
		}
		return "earliest"
	}
	refused := func(fields string) func(*peer) {
		return func(p *peer) { p.head = sendHead("HTTP/1.1 503 Busy\r\n" + fields + "Content-Length: 0\r\n\r\n") }
	}
	unhooked := func(t *conformance.Target) { t.Publisher = nil }
	for _, c := range []struct {
		profile, name string
		make          func(*peer)
		change        func(*conformance.Target)
		want          string
	}{
		{"mcp", "all of it", returning(mcp(priming, progress, outcome), callHead, progress, outcome), tool, "mcp/priming pass, mcp/retry pass, mcp/resume pass"},
		{"mcp", "an id alone", mcp("id: 7-0\n\n", outcome), tool, "mcp/priming pass, mcp/retry info"},
		{"mcp", "an empty object", mcp(": hello\n\n", "id: 7-0\ndata: {}\n\n", outcome), tool, "mcp/priming pass"},
		{"mcp", "no ids", mcp("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":1}}\n\n"), tool, "mcp/priming warn, mcp/retry info, mcp/resume not-applicable"},
		{"mcp", "primed late", mcp(progress, "id: 7-2\ndata: \n\n", outcome), tool, "mcp/priming warn"},
		{"mcp", "an older client", mcp(progress, outcome), called(toolCall), "mcp/priming not-observed"},
		{"mcp", "an older client that begins", mcp(outcome), called(`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}`), "mcp/priming not-observed"},
		{"mcp", "a client that begins", mcp(outcome), called(`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`), "mcp/priming warn"},
		{"mcp", "ends early without retry", mcp("id: 7-0\ndata:\n\n"), tool, "mcp/retry warn"},
		{"mcp", "nobody can come back", mcp(priming, outcome), tool, "mcp/resume warn"},
		{"mcp", "forgets at once", returning(mcp(priming, outcome), "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"), tool, "mcp/resume not-observed"},
		{"mcp", "forgets midway", returning(mcp(priming, progress, outcome), "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"), acting, "mcp/resume warn"},
		{"mcp", "comes back without the answer", returning(mcp(priming, progress, outcome), callHead, progress), acting, "mcp/resume warn"},
		{"mcp", "comes back midway", returning(mcp(priming, progress, outcome), callHead, outcome), acting, "mcp/resume pass"},
		{"mcp", "one object", answers("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "{}"), tool, "mcp/priming not-applicable, mcp/resume not-applicable"},
		{"mcp", "not asked with a call", nil, nil, "mcp/priming not-observed, mcp/retry not-observed, mcp/resume not-observed"},

		{"llm", "done", answers(callHead, tokens(3, "data: [DONE]\n\n")...), called(chat), "llm/done pass"},
		{"llm", "done in one go", answers(callHead, strings.Join(tokens(3, "data: [DONE]\n\n"), "")), called(chat), "llm/done pass"},
		{"llm", "completed", answers(callHead, "event: response.completed\ndata: {}\n\n"), called(chat), "llm/done pass"},
		{"llm", "a type in the data", answers(callHead, "data: {\"type\":\"message_stop\"}\n\n"), called(chat), "llm/done pass"},
		{"llm", "an error", answers(callHead, tokens(2, "data: {\"error\":{\"message\":\"no\"}}\n\n")...), called(chat), "llm/done pass"},
		{"llm", "both marks", answers(callHead, "event: done\ndata: {}\n\n", "data: [DONE]\n\n"), called(chat), "llm/done pass"},
		{"llm", "no mark", answers(callHead, tokens(3)...), called(chat), "llm/done fail"},
		{"llm", "no blank line", answers(callHead, tokens(3, "data: [DONE]\n")...), called(chat), "llm/done fail"},
		{"llm", "more after it", answers(callHead, tokens(3, "data: [DONE]\n\n", "data: {}\n\n")...), called(chat), "llm/done fail"},
		{"llm", "without an end", answers(callHead, tokens(400)...), called(chat), "llm/done not-observed"},
		{"llm", "by GET", func(p *peer) { p.ticks, p.last = 2, "data: [DONE]\n\n" }, unhooked, "llm/done pass"},

		{"jakarta", "in seconds", refused("Retry-After: 5\r\n"), unhooked, "jakarta/503 pass"},
		{"jakarta", "on a date", refused("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"), unhooked, "jakarta/503 pass"},
		{"jakarta", "never", refused(""), unhooked, "jakarta/503 warn"},
		{"jakarta", "soon", refused("Retry-After: soon\r\n"), unhooked, "jakarta/503 fail"},
		{"jakarta", "not full", nil, unhooked, "jakarta/503 not-observed"},
		{"jakarta", "full elsewhere", func(p *peer) {
			p.head = func(q *request) string {
				if q.URL.Path == "/full" {
					return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
				}
				return okHead
			}
		}, func(t *conformance.Target) {
			t.Publisher, t.Declared.ErrorURL = nil, t.Request.URL.JoinPath("/../full")
		}, "jakarta/503 warn"},

		{"mercure", "a hub", hubbing(urn, hub, true), unhooked, "mercure/id pass, mercure/last-event-id pass, mercure/query pass, mercure/earliest pass"},
		{"mercure", "a hub without history", hubbing(func(n int) string { return fmt.Sprint("#", n) }, func(string) string { return "earliest" }, false), unhooked, "mercure/id pass, mercure/last-event-id pass, mercure/query pass, mercure/earliest info"},
		{"mercure", "ids that are no IRI", hubbing(func(n int) string { return fmt.Sprint(n) }, hub, false), unhooked, "mercure/id warn"},
		{"mercure", "no ids", hubbing(func(int) string { return "" }, hub, false), unhooked, "mercure/id fail"},
		{"mercure", "no field in the answer", hubbing(urn, func(string) string { return "" }, true), unhooked, "mercure/last-event-id fail, mercure/query fail"},
		{"mercure", "an echo", hubbing(urn, func(asked string) string { return asked }, true), unhooked, "mercure/last-event-id fail"},
	} {
		t.Run(c.profile+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			if c.make != nil {
				c.make(p)
			}
			found := runChecks(t, p, c.change, serverchecks.InProfiles(c.profile))
			expect(t, found, c.want)
			for _, f := range found {
				t.Log(show(f))
			}
		})
	}
}

// profileTarget is how the routes of the reference server for a profile are asked.
var profileTarget = map[string]func(*conformance.Target){
	"mcp":     func(t *conformance.Target) { unlent(t); called(toolCall, "MCP-Protocol-Version", "2025-11-25")(t) },
	"llm":     func(t *conformance.Target) { unlent(t); called(chat)(t) },
	"mercure": unlent,
	"jakarta": unlent,
}

// unlent takes away what the operator lends and declares.
func unlent(t *conformance.Target) {
	*t = conformance.Target{Request: t.Request, Dialer: t.Dialer}
}

var profileFollows = map[string]string{
	"mcp/priming":           "mcp/retry retry/early retry/range id/control-frames", // the event has a retry field, and is the only one without data
	"mcp/retry":             "retry/early retry/range",
	"mercure/last-event-id": "resume/unknown-id",                                                 // the answer does not tell any more
	"mercure/id":            "mercure/* id/* resume/* id/present id/cors-safe resume/unknown-id", // who has no id cannot come back
}

// The reference server's routes for the profiles keep to them, and to all that everyone is held to.
func TestReferenceServerProfiles(t *testing.T) {
	for _, profile := range serverchecks.Profiles {
		t.Run(profile.Name, func(t *testing.T) {
			found := checkReference(t, "/profile/"+profile.Name, "", wire.HTTP11, profileTarget[profile.Name])
			for _, c := range profile.Checks {
				if f := found[c.ID]; f.Verdict != result.Pass {
					t.Error(show(f))
				}
			}
			for id, f := range found {
				if f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error {
					if profile.Name != "jakarta" || id != "http/status" { // which it is there to break
						t.Error(show(f))
					}
				}
			}
		})
	}
}
