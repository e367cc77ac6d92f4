package serverchecks

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// MCP is what the Model Context Protocol asks of a stream that answers a call.
var MCP = []conformance.Check{mcpPriming, mcpRetry, mcpResume}

const (
	mcpClause  = "MCP 2025-11-25, Streamable HTTP"
	mcpVersion = "2025-11-25" // the first in which streams are primed; versions sort as text
)

// rpc is a JSON-RPC message, of which nothing else is looked at.
type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string `json:"protocolVersion"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// mcpCall returns the call that the target was asked and the stream that answered it; where there is none it has been reported.
func mcpCall(p *conformance.Probe) (call rpc, conns []*conformance.Connection, ok bool) {
	r := p.Request()
	if r.Method != "POST" || json.Unmarshal(r.Body, &call) != nil || len(call.ID) == 0 || call.Method == "" {
		p.NotObserved("the target was not asked with a JSON-RPC request").
			Hint(`--method POST --body '{"jsonrpc":"2.0","id":1,"method":"tools/call",...}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' would decide it`).By("--body")
		return call, nil, false
	}
	if c := p.First(); c.Head != nil && c.Head.Status == 200 {
		if essence, _ := conformance.MediaType(c.Head); essence == "application/json" {
			p.NotApplicable("the call is answered with one JSON object, which is the server's right")
			return call, nil, false
		}
	}
	conns, ok = streamed(p)
	return call, conns, ok
}

// answered tells whether an event holds the answer to the call.
func (call *rpc) answered(events []conformance.Event) bool {
	for i := range events {
		var m rpc
		if json.Unmarshal([]byte(sse.Text(events[i].Data)), &m) == nil && string(m.ID) == string(call.ID) && (len(m.Result) > 0 || len(m.Error) > 0) {
			return true
		}
	}
	return false
}

// primed tells whether the caller said that it understands a priming event: servers keep it from older clients, which choke on empty data.
func (call *rpc) primed(r *wire.Request) bool {
	version := r.Header.Get("MCP-Protocol-Version")
	if call.Method == "initialize" {
		version = call.Params.ProtocolVersion
	}
	return version >= mcpVersion
}

// MCP 2025-11-25, Streamable HTTP, sending messages, 6: a server that answers with a stream should at once send an event with an id and empty data.
var mcpPriming = conformance.Check{
	ID: "mcp/priming", Title: "the stream begins with an id and empty data",
	Level: result.Should, Clause: mcpClause, Needs: conformance.Observe,
	Text: "The first event of a stream that answers a call has an id and empty data, so that a client which is cut off can come back from the very beginning.",
	Why:  "Without it a client that loses the connection before the first message has no position to come back to: the call is lost, and made again.",
	Good: "id: 7-0\ndata:\n\n", Bad: "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
	Evidence: []string{"modelcontextprotocol/python-sdk#1672", "modelcontextprotocol/typescript-sdk#1184", "modelcontextprotocol/go-sdk#768"},
	Run: func(_ context.Context, p *conformance.Probe) {
		call, conns, ok := mcpCall(p)
		if !ok || !spoke(p, conns) {
			return
		}
		var first *block
		before := 0
		for _, b := range blocks(p, conns) {
			if !b.has(sse.LineID) && b.event == nil {
				continue // comments, a reconnection time
			}
			if first == nil {
				first = &b
			}
			if primes(&b) {
				if before == 0 {
					p.Pass("an id and no data come first")
				} else {
					p.Warn("the priming event comes after %s", plural(before, "event")).Hint("send it as soon as the stream is open").At(b.evidence())
				}
				return
			}
			before++
		}
		if !call.primed(p.Request()) {
			p.NotObserved("no priming event came, and the request does not say that its client understands one").
				Hint("-H 'MCP-Protocol-Version: " + mcpVersion + "' would decide it").By("--header")
			return
		}
		p.Warn("no event with an id and empty data came").Hint("send one as soon as the stream is open: clients come back from it").At(first.evidence())
	},
}

// primes tells whether a block sets a position and says nothing. What stands for nothing in JSON is let pass.
func primes(b *block) bool {
	id := b.last(sse.LineID)
	if id == nil || id.Value == "" {
		return false
	}
	if b.event == nil {
		return true
	}
	text := strings.TrimSpace(sse.Text(b.event.Data))
	return text == "" || text == "{}"
}

// MCP 2025-11-25, Streamable HTTP, sending messages, 6: a server that ends the connection before it has answered should send a retry field first.
var mcpRetry = conformance.Check{
	ID: "mcp/retry", Title: "before an early end the server says when to come back",
	Level: result.Should, Clause: mcpClause, Needs: conformance.Observe,
	Text: "Where the server ends the connection before the answer to the call, a retry field has told the client when to come back for it.",
	Why:  "The client polls at a pace of its own: too often for the server, or so late that the user has given up.",
	Good: "id: 7-0\nretry: 2000\ndata:\n\n", Bad: "id: 7-0\ndata:\n\n(end)",
	Evidence: []string{"modelcontextprotocol/modelcontextprotocol#1699"},
	Run: func(_ context.Context, p *conformance.Probe) {
		call, conns, ok := mcpCall(p)
		if !ok {
			return
		}
		c := conns[0]
		all := lines(conns[:1], sse.LineRetry)
		_, err := c.Ended()
		switch {
		case len(all) > 0:
			p.Pass("retry: %s", brief(all[0].Value))
		case call.answered(c.Events()):
			p.Info("no retry field; none is due where the answer comes before the end")
		case err == io.EOF:
			n := int64(len(c.Content()))
			p.Warn("the server ended the connection before the answer, and did not say when to come back").
				Hint("send retry with the priming event, or before the end").At(c.Evidence(n, n))
		case err != nil:
			p.NotObserved("the stream broke off: %s", conformance.Cause(err))
		default:
			p.NotObserved("neither the answer nor the end came in %s", p.Window()).Hint("a longer --window would decide it").By("--window")
		}
	},
}

// MCP 2025-11-25, Streamable HTTP, resumability: a client that was cut off asks with GET and the last id it got, and may get what it missed; a server need not offer it, but one that hands out
// ids says that it does.
//
// By itself the check asks again for what the observed call was answered, which acts on nothing; where that is gone, only a call that is cut off midway decides (--active).
var mcpResume = conformance.Check{
	ID: "mcp/resume", Title: "a client that was cut off gets the answer to its call",
	Level: result.Should, Clause: mcpClause, Needs: conformance.Extra, Gentle: true, Turn: conformance.Fresh,
	Text:     "A GET with the Last-Event-ID of a stream that was cut off is answered with what followed on that stream, the answer to the call included.",
	Why:      "The connection breaks in the middle of a long call. Without the answer the client calls again: the work is done twice, and so is what it did.",
	Good:     "> GET /mcp\n> Last-Event-ID: 7-0\n\nid: 7-1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
	Bad:      "> GET /mcp\n> Last-Event-ID: 7-0\n\nHTTP/1.1 405 Method Not Allowed\n",
	Evidence: []string{"cloudflare/agents#1723", "modelcontextprotocol/rust-sdk#799"},
	Run:      judgeMCPResume,
}

// answerPatience is how long the answer to a call may take after the client came back.
const answerPatience = 4 * time.Second

func judgeMCPResume(ctx context.Context, p *conformance.Probe) {
	call, conns, ok := mcpCall(p)
	if !ok {
		return
	}
	c := conns[0]
	id := firstID(c.Events())
	if id == nil {
		p.NotApplicable("no event carries an id: the server offers nothing to come back to")
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	within := 3*time.Second + 2*c.RoundTrip()
	var said string
	for range 2 {
		if p.Target().Active {
			again := p.Open(ctx, p.Request(), within)
			until(ctx, again, within, func() bool { return firstID(again.Events()) != nil })
			again.Close()
			if id = firstID(again.Events()); id == nil {
				p.NotObserved("the call was not answered again with an id")
				return
			}
		}
		var got bool
		if got, said = fetchAnswer(ctx, p, &call, c, id, within); got {
			p.Pass("GET with id %s got the answer to the call", brief(string(id)))
			return
		}
		if !p.Target().Active {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		p.NotObserved("the time for this check ran out")
	case p.Target().Active, strings.HasPrefix(said, "405"):
		p.Warn("a client that comes back by GET with id %s does not get the answer to the call: %s", brief(string(id)), said).
			Hint("keep what a call is answered until its client has it, or send no ids")
	default:
		p.NotObserved("the answer to the observed call, which was over, is not there any more: %s", said).
			Hint("--active makes the call once more and cuts it off midway").By("--active")
	}
}

// firstID is the first position that a stream gives.
func firstID(events []conformance.Event) []byte {
	for _, e := range events {
		if e.IDSet && len(e.ID) > 0 {
			return e.ID
		}
	}
	return nil
}

// fetchAnswer comes back as a client that was cut off at id, and says what came where it is not the answer.
func fetchAnswer(ctx context.Context, p *conformance.Probe, call *rpc, c *conformance.Connection, id []byte, within time.Duration) (got bool, said string) {
	r := p.Request()
	r.Method, r.Body = "GET", nil
	for _, name := range []string{"Content-Type", "Accept"} {
		r.Header = without(r.Header, name)
	}
	r.Header = conformance.WithLastEventID(append(r.Header, wire.Field{Name: "Accept", Value: eventStream}), id)
	const session = "Mcp-Session-Id"
	if given := c.Head.Header.Get(session); given != "" && !r.Header.Has(session) {
		r.Header = append(r.Header, wire.Field{Name: session, Value: given})
	}
	back := p.Open(ctx, r, within)
	defer back.Close()
	switch {
	case back.Head == nil:
		return false, "no answer: " + conformance.Cause(back.Err)
	case back.Head.Status != 200:
		return false, strconv.Itoa(back.Head.Status)
	}
	until(ctx, back, answerPatience, func() bool { return call.answered(back.Events()) })
	return call.answered(back.Events()), plural(len(back.Events()), "event") + ", and it is not among them"
}
