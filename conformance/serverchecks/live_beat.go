package serverchecks

import (
	"context"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.7: "authors can include a comment line every 15 seconds or so", because proxies drop connections that are silent. Where the operator declares
// how often something comes, that is what counts, with half as much and a second besides for the path.
var liveHeartbeat = conformance.Check{
	ID: "live/heartbeat", Title: "a quiet stream shows signs of life",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Long,
	Text: "Where there are no events for a while, a comment comes every 15 seconds or so.",
	Why:  "Proxies and load balancers drop connections on which nothing moves, often after 60 seconds; without a sign of life neither side finds out.",
	Good: ": still here\n\n", Bad: "(silence for a minute)",
	Evidence: []string{"stellar-deprecated/horizon#424", "vllm-project/vllm#47647", "maximhq/bifrost#5010"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		c := conns[0]
		// Comments prove a heartbeat by the silences that they end: more than one, or a long one. Other comments only came between events.
		longest, ended, comments, last := time.Duration(0), time.Duration(0), 0, c.Timing.Head
		for _, l := range c.Lines() {
			longest = max(longest, l.At-last)
			if l.Kind == sse.LineComment && l.At-last >= silence {
				ended = max(ended, l.At-last)
				comments++
			}
			last = l.At
		}
		longest = max(longest, c.Until()-last)
		declared := p.Target().Declared.Heartbeat
		switch {
		case declared > 0 && longest > declared+max(declared/2, time.Second):
			p.Declared(true, "something is declared to come every %v, and nothing came for %v", declared, longest.Round(100*time.Millisecond)).
				Hint("send a comment line at least that often while there are no events, or declare what is true")
		case declared > 0 && c.Until() > 2*declared:
			p.Pass("never silent for more than %v, as declared (%v)", longest.Round(100*time.Millisecond), declared)
		case longest > 20*time.Second:
			p.Warn("silent for %v", longest.Round(100*time.Millisecond)).Hint("send a comment line every 15 seconds while there are no events")
		case (comments > 1 || ended >= 5*time.Second) && longest <= ended+ended/2:
			p.Pass("never silent for more than %v: %s came into the silence", longest.Round(100*time.Millisecond), plural(comments, "comment"))
		default:
			p.NotObserved("never silent for more than %v in %s", longest.Round(100*time.Millisecond), p.Window()).
				Hint("--window 70s shows whether a quiet stream is kept alive").By("--window")
		}
	},
}

// WHATWG HTML 9.2.6: a line that begins with a colon is ignored by every client, which is why 9.2.7 advises comments for signs of life. An
// event with an id does more than show life: it moves the point from which a client resumes. What ends a silence and stands alone is taken for a
// heartbeat here, and an event only where its name says so.
var liveHeartbeatForm = conformance.Check{
	ID: "live/heartbeat/form", Title: "heartbeats are comments",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Long,
	Text: "What the server sends into a silence only to show life is a comment line.",
	Why: "An event with an id for a heartbeat moves the resume point of each client past events it may not have; a bare word is an unknown field to the grammar " +
		"and makes strict parsers give up.",
	Good: ": still here\n\n", Bad: "ping\n\n",
	Evidence: []string{"LabsCrypt/flowfi#325", "NVIDIA-AI-Blueprints/aiq#272"},
	Run: func(_ context.Context, p *conformance.Probe) {
		beats, ok := heartbeats(p)
		if !ok {
			return
		}
		comments := 0
		for _, b := range beats {
			at := b.conn.Evidence(b.lines[0].Start, b.lines[len(b.lines)-1].End)
			switch b.kind() {
			case beatComment:
				comments++
			case beatJunk:
				p.Fail("%s came into a silence of %v: neither a comment nor a field", brief(b.word()), b.silence.Round(100*time.Millisecond)).
					Hint("begin the line with a colon: it is a comment then").At(at)
			case beatEventWithID:
				p.Warn("heartbeats are %s events with an id, which moves the point that a client resumes from", brief(string(b.event.Type))).
					Hint("send a comment line, or leave out the id").At(at)
			case beatNoData:
				p.Warn("heartbeats are blocks without data, which no client shows and some parsers stumble over").Hint("send a comment line").At(at)
			}
		}
		p.Pass("%s into silences, %d of comments", plural(len(beats), "heartbeat"), comments)
	},
}

// WHATWG HTML 9.2.5: the blank line ends an event, not a comment; both forms are legal.
var liveHeartbeatFraming = conformance.Check{
	ID: "live/heartbeat/framing", Title: "whether heartbeats end with a blank line",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Long,
	Text: "Comments that show life are followed by a blank line. Both forms are legal, so that this is only told.",
	Why:  "Client libraries that hand out whole blocks see a comment only when the blank line comes: to them the stream stays silent.",
	Good: ": still here\n\n", Bad: ": still here\n",
	Evidence: []string{"launchdarkly/sse-contract-tests (docs/optional_features.md)"},
	Run: func(_ context.Context, p *conformance.Probe) {
		beats, ok := heartbeats(p)
		if !ok {
			return
		}
		closed := 0
		for _, b := range beats {
			if b.kind() != beatComment {
				continue
			}
			if b.lines[len(b.lines)-1].Kind == sse.LineBlank {
				closed++
				continue
			}
			p.Info("heartbeats are comment lines without a blank line: legal, and invisible to clients that wait for whole blocks").
				Hint("write \": ...\\n\\n\"").At(b.conn.Evidence(b.lines[0].Start, b.lines[0].End))
		}
		if closed > 0 {
			p.Pass("a blank line follows")
			return
		}
		p.NotObserved("no comment came into a silence in %s", p.Window()).Hint("--window 70s shows how a quiet stream is kept alive").By("--window")
	},
}

// silence is how long nothing has come before a heartbeat.
const silence = 1500 * time.Millisecond

// beat is what came at once after a silence.
type beat struct {
	conn    *conformance.Connection
	lines   []conformance.Line
	event   *conformance.Event // that it dispatched
	silence time.Duration
}

type beatKind uint8

const (
	beatOther beatKind = iota // an event like any other
	beatComment
	beatEvent
	beatEventWithID
	beatNoData
	beatJunk
)

// beatNames are the types under which libraries send signs of life.
var beatNames = map[string]bool{
	"ping": true, "pong": true, "heartbeat": true, "heart-beat": true, "heart_beat": true, "keepalive": true, "keep-alive": true, "keep_alive": true,
	"noop": true,
}

func (b *beat) kind() beatKind {
	fields, data, comments, junk, retry := 0, 0, 0, 0, 0
	for _, l := range b.lines {
		switch {
		case l.Kind == sse.LineComment:
			comments++
		case l.Kind == sse.LineUnknown && !l.Colon:
			junk++
		case l.Kind == sse.LineData:
			data++
		case l.Kind == sse.LineRetry:
			retry++
		case l.Kind != sse.LineBlank:
			fields++
		}
	}
	switch {
	case b.event == nil && data > 0:
		return beatOther // an event that has not ended
	case b.event != nil && !beatNames[strings.ToLower(string(b.event.Type))]:
		return beatOther
	case b.event != nil && b.event.IDSet && len(b.event.ID) > 0:
		return beatEventWithID
	case b.event != nil:
		return beatEvent
	case junk > 0:
		return beatJunk
	case comments > 0 && fields == 0:
		return beatComment
	case fields > 0:
		return beatNoData
	case retry == 0:
		return beatComment // blank lines: as harmless
	}
	return beatOther
}

// word is the line that is no field.
func (b *beat) word() string {
	for _, l := range b.lines {
		if l.Kind == sse.LineUnknown {
			return l.Name
		}
	}
	return ""
}

// heartbeats collects what came into silences and is no event like others; where there is none it says so.
func heartbeats(p *conformance.Probe) ([]beat, bool) {
	conns, ok := streamed(p)
	if !ok {
		return nil, false
	}
	if foreign(p, conns) {
		return nil, false
	}
	var beats []beat
	for _, c := range conns {
		chunks := strayChunks(c)
		events := c.Events()
		last := c.Timing.Head
		ls := c.Lines() // what the run published ends a silence as well
		natural := map[int64]bool{}
		for _, l := range c.Natural() {
			natural[l.Start] = true
		}
		for i := 0; i < len(ls); {
			n := i + 1
			for n < len(ls) && ls[n].At-ls[n-1].At <= breath {
				n++
			}
			b := beat{conn: c, lines: ls[i:n], silence: ls[i].At - last}
			last, i = ls[n-1].At, n
			if b.silence < silence || chunks[b.lines[0].Start] || !natural[b.lines[0].Start] || !natural[b.lines[len(b.lines)-1].Start] {
				continue
			}
			several := 0
			for k := range events {
				if e := &events[k]; e.Start >= b.lines[0].Start && e.Start < b.lines[len(b.lines)-1].End {
					b.event = e
					several++
				}
			}
			if several <= 1 && b.kind() != beatOther {
				beats = append(beats, b)
			}
		}
	}
	if len(beats) == 0 {
		p.NotObserved("nothing came into a silence in %s", p.Window()).Hint("--window 70s shows how a quiet stream is kept alive").By("--window")
		return nil, false
	}
	return beats, true
}
