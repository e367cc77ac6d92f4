package serverchecks

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// LLM is what clients of token streams rely on.
var LLM = []conformance.Check{llmDone}

// No clause: the OpenAI API ends a stream of chat completions with the data [DONE], its newer interfaces and those of others with an event whose type says that it is the last.
//
// An error is an end too. What follows the mark is never read; a mark without its blank line is never dispatched.
var llmDone = conformance.Check{
	ID: "llm/done", Title: "a token stream ends with its end mark",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe,
	Text: "The last event of the stream is data: [DONE], or one whose type says that it is the last (response.completed, message_stop), and a blank line follows it.",
	Why: "The end of the connection alone does not tell a whole answer from one that was cut off. Clients that wait for the mark hang or report an error; those that do not " +
		"take half an answer for all of it.",
	Good: "data: {\"choices\":[{\"delta\":{\"content\":\"o\"}}]}\n\ndata: [DONE]\n\n", Bad: "data: {\"choices\":[{\"delta\":{\"content\":\"o\"}}]}\n\ndata: [DONE]\n",
	Evidence: []string{"openai/openai-node#2725"},
	Run:      judgeDone,
}

const done = "[DONE]"

func judgeDone(_ context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	c := conns[0]
	_, err := c.Ended()
	events := c.Events()
	last := slices.IndexFunc(events, func(e conformance.Event) bool { return final(&e) != "" })
	switch {
	case last >= 0 && last < len(events)-1 && final(&events[len(events)-1]) == "":
		next := events[last+1]
		p.Fail("%s after %s, which clients take for the end", plural(len(events)-1-last, "event"), final(&events[last])).
			Hint("send the end mark last").At(c.Evidence(next.Start, next.End))
	case last >= 0:
		p.Pass("the stream ends with %s", final(&events[len(events)-1]))
	case err == nil && c.Full():
		p.NotObserved("the stream is longer than what is kept")
	case err == nil:
		p.NotObserved("the stream did not end in %s", p.Window()).Hint("ask for a shorter answer, or give a longer --window").By("--window")
	case err != io.EOF:
		p.NotObserved("the stream broke off: %s", conformance.Cause(err))
	default:
		n := int64(len(c.Content()))
		if tail, loses := c.Tail(); loses && strings.Contains(string(c.Content()[min(tail.Start, n):]), done) {
			p.Fail("no blank line follows %s, so that clients never see it", done).Hint("write the blank line with the end mark").At(c.Evidence(tail.Start, n))
			return
		}
		p.Fail("the stream ended after %s without an end mark", plural(len(events), "event")).
			Hint("send data: %s, or the event that your interface ends with, before the end", done).At(c.Evidence(n, n))
	}
}

// finals are the types of events that are the last of an answer.
var finals = []string{
	"response.completed", "response.failed", "response.incomplete", "response.cancelled", "response.done", "message_stop", "done", "error",
}

// final names the event if it is an end mark; "" where it is none.
func final(e *conformance.Event) string {
	text := strings.TrimSpace(sse.Text(e.Data))
	if text == done {
		return done
	}
	if typ := string(e.Type); slices.Contains(finals, typ) {
		return "an event of type " + typ
	}
	var data struct {
		Type  string          `json:"type"`
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal([]byte(text), &data) != nil {
		return ""
	}
	switch {
	case slices.Contains(finals, data.Type):
		return "the type " + data.Type
	case len(data.Error) > 0 && string(data.Error) != "null":
		return "an error"
	}
	return ""
}
