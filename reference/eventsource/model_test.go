package eventsource

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// answer is what the server does with one attempt.
type answer struct {
	refuse bool     // the connection is refused
	status int      // a status instead of a stream
	blocks []string // the stream
	cut    string   // an incomplete block at its end
	broken bool     // the connection breaks instead of ending the body properly
}

func (a answer) String() string {
	return fmt.Sprintf("{refuse:%v status:%d %q cut:%q broken:%v}", a.refuse, a.status, a.blocks, a.cut, a.broken)
}

// rules is the standard once more, as plainly as it can be said over whole blocks: what the model keeps between attempts.
type rules struct {
	id     string
	retry  time.Duration
	failed int
	fired  []string
	final  bool
}

func (m *rules) apply(a answer) {
	switch {
	case a.refuse:
		m.failed++
		return
	case a.status != 0:
		m.final = true
		return
	}
	m.failed = 0
	for i, b := range append(a.blocks[:len(a.blocks):len(a.blocks)], a.cut) {
		id, data, fires := m.id, "", false
		for line := range strings.Lines(b) {
			value := strings.TrimSuffix(line, "\n")
			switch name, value, _ := strings.Cut(value, ": "); {
			case !strings.HasSuffix(line, "\n"): // the stream ended inside it
			case name == "id":
				id = value
			case name == "data":
				data, fires = data+value, true
			case name == "retry":
				n := 0
				if _, err := fmt.Sscan(value, &n); err == nil {
					m.retry = time.Duration(n) * time.Millisecond
				}
			}
		}
		if i == len(a.blocks) {
			break // the incomplete block
		}
		if m.id = id; fires {
			m.fired = append(m.fired, fmt.Sprintf("message %q id=%q", data, id))
		}
	}
}

// Whatever servers do, the client obeys the model: the id of every request, every event, the wait before every
// attempt (exact after a stream, bounded below and above after failures), and silence after a final answer.
func TestModel(t *testing.T) {
	one := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	answers := rapid.Custom(func(t *rapid.T) answer {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1:
			return answer{refuse: true}
		case 2:
			return answer{status: rapid.SampledFrom([]int{204, 404, 503}).Draw(t, "status")}
		}
		return answer{
			blocks: rapid.SliceOfN(one("data: a\n\n", "id: 1\ndata: b\n\n", "id: 2\n\n", "id\ndata: c\n\n", "retry: 0\n\n", "retry: 7000\nid: 3\n\n",
				"data: d\nretry: 40\n\n", ": ping\n\n", "event: only\n\n", "foo\n\n"), 0, 6).Draw(t, "blocks"),
			cut:    one("", "id: 9\ndata: lost", "id: 9\ndata: lost\n", "retry: 60\n", "retry: 60", ":").Draw(t, "cut"),
			broken: rapid.Bool().Draw(t, "broken"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(answers, 1, 8).Draw(rt, "script")
		initial := one("", "start").Draw(rt, "initial")
		var wrong string
		bubble(t, func(w *world) { wrong = follow(w, script, initial) })
		if wrong != "" {
			rt.Fatalf("%s\nscript: %v", wrong, script)
		}
	})
}

// follow plays script and says what the client did wrong.
func follow(w *world, script []answer, initial string) string {
	w.client.LastEventID = initial
	m := rules{id: initial, retry: DefaultReconnectionTime}
	ended := time.Duration(0) // when the attempt before ended
	w.run()
	for i, a := range script {
		least, most := m.retry, m.retry
		if i == 0 {
			least, most = 0, 0
		}
		if m.failed > 0 {
			step := min(time.Second<<(m.failed-1), 30*time.Second)
			least, most = least+step/2, most+step
		}
		var at time.Duration
		if a.refuse {
			at = w.refuse()
		} else {
			s := w.accept()
			at = s.at
			got, there := s.req.Header["Last-Event-Id"]
			if there != (m.id != "") || there && got[0] != m.id {
				return fmt.Sprintf("attempt %d sent Last-Event-ID %q, wanted %q", i, got, m.id)
			}
			switch {
			case a.status != 0:
				s.head(fmt.Sprintf("HTTP/1.1 %d X", a.status), "Content-Type: text/event-stream", "Content-Length: 0")
			case a.broken:
				s.head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Length: 100000")
			default:
				s.ok()
			}
			if body := strings.Join(a.blocks, "") + a.cut; a.status == 0 && body != "" {
				s.send(body)
			}
			s.end()
		}
		if took := at - ended; took < least || took > most {
			return fmt.Sprintf("attempt %d came after %v, wanted %v to %v", i, took, least, most)
		}
		synctest.Wait()
		ended = time.Since(w.start)
		if m.apply(a); m.final {
			break
		}
	}
	var fired []string
	for _, line := range w.log {
		if _, what, _ := strings.Cut(line, " "); strings.HasPrefix(what, "message") {
			fired = append(fired, what)
		}
	}
	if got, want := fmt.Sprint(fired), fmt.Sprint(m.fired); got != want {
		return fmt.Sprintf("events %v, wanted %v", got, want)
	}
	if m.final && w.knocked(time.Hour) != nil {
		return "it asked again after a final answer"
	}
	return ""
}
