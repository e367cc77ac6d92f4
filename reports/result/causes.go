package result

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Whose doing a failure is.
const (
	OwnerGenerator = "generator" // this machine or the plan
	OwnerPath      = "path"      // the network and what stands in it
	OwnerTarget    = "target"
	OwnerHook      = "publish hook"
	OwnerBrowser   = "browser" // of limits: what every browser keeps to, whatever the target
)

// Cause is why streams failed or ended, or publishes failed, with what is known of it.
type Cause struct {
	Text    string // as it is counted: "connect: connection refused"
	Count   int
	Owner   string // "" where it cannot be told
	Meaning string // one line, "" where there is nothing to add
	Do      string // one line, "" where there is nothing to advise
	// AgeUS is how old the streams were that ended by it; nil where that is not known.
	AgeUS *Quantiles
}

// Age says how old the streams were: "after 60.0 s (58.2 s to 62.2 s)", "" if that is not known.
func (c *Cause) Age() string {
	q := c.AgeUS
	switch {
	case q == nil || q.Min == nil || q.Max == nil:
		return ""
	case q.P50 == nil:
		return "after " + Micros(*q.Min) + " to " + Micros(*q.Max)
	}
	return fmt.Sprintf("after %s (%s to %s)", Micros(*q.P50), Micros(*q.Min), Micros(*q.Max))
}

// Causes are the failures of the run, the commonest first.
func (l *Load) Causes() []Cause {
	causes := make([]Cause, 0, len(l.Streams.Failures))
	for text, n := range l.Streams.Failures {
		c := Explain(text)
		c.Count = n
		for _, d := range l.Disconnects {
			if text == "closed: "+d.Cause {
				c.AgeUS = d.AgeUS
			}
		}
		causes = append(causes, c)
	}
	slices.SortFunc(causes, func(a, b Cause) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Text, b.Text)) })
	return causes
}

// Explain says what a cause means and whose doing it is, as far as the cause alone tells.
func Explain(text string) Cause {
	c := Cause{Text: text}
	attempt := strings.TrimPrefix(strings.TrimPrefix(text, "reconnect: "), "gave up: ") // fails as any other does
	if rest, ok := strings.CutPrefix(text, "slow reader: "); ok {
		attempt = "closed: " + rest
	}
	for _, known := range causes {
		if rest, ok := strings.CutPrefix(attempt, known.prefix); ok && (rest == "" || known.open) {
			c.Owner, c.Meaning, c.Do = known.owner, known.meaning, known.do
			break
		}
	}
	return c
}

// causes are looked through in order: the first that fits. An open one fits whatever follows it.
var causes = []struct {
	prefix      string
	open        bool
	owner       string
	meaning, do string
}{
	{"resolve: ", true, OwnerPath, "the name of the target could not be resolved", "look the name up from this machine"},
	{"connect: connection refused", false, OwnerTarget, "nothing listens at that address, or its queue of connections to accept is full", "see the target's limits of connections and its listen backlog"},
	{"connect: timeout", false, "", "no answer to the request for a connection: dropped on the way, or by a full queue of the target", "compare with the target's counters of overflows, and with a run past the proxy"},
	{"connect: cannot assign requested address", false, OwnerGenerator, "this machine has no local port left for that address", "give more source addresses (--source), or HTTP/2 with more streams a connection"},
	{"connect: too many open files", true, OwnerGenerator, "this process may open no more files", "raise the limit (ulimit -n), or use more workers"},
	{"connect: no buffer space available", false, OwnerGenerator, "this machine's network has no memory left for another connection", "use more machines"},
	{"connect: cannot allocate memory", false, OwnerGenerator, "this machine has no memory left for another connection", "use more machines"},
	{"connect: network is unreachable", false, OwnerPath, "there is no way to that network", "check routes and address family from this machine"},
	{"connect: no route to host", false, OwnerPath, "there is no way to that host, or a firewall says so", "check routes and firewalls"},
	{"connect: connection reset by peer", false, "", "the connection was accepted and at once reset: a limit of the target or of a proxy", "see the logs of both"},
	{"tls: ", true, OwnerTarget, "no TLS with what the target offers", "check its certificate and protocol versions; --cacert names an authority to trust"},
	{"head: none by the end of the run", false, "", "the stream was asked for, and the run ended before the answer", "hold longer, or open more slowly"},
	{"head: timeout", false, OwnerTarget, "connected, and the request was not answered in time: its workers, or a proxy's queue, are exhausted", "see how many streams at once the target is set up for"},
	{"head: status 429", false, OwnerTarget, "the target refuses: too many requests", "see its rate limits"},
	{"head: status 401", false, OwnerTarget, "the target wants credentials", "give them with -H"},
	{"head: status 403", false, OwnerTarget, "the target forbids it", "check the credentials and its rules"},
	{"head: status 502", false, OwnerPath, "a gateway got no right answer from what is behind it", "see the gateway's log"},
	{"head: status 503", false, OwnerTarget, "the target says it cannot serve now: most often a limit of its own or of a proxy", "see its limit of streams or connections"},
	{"head: status 504", false, OwnerPath, "a gateway waited in vain for what is behind it", "see the gateway's time limits"},
	{"head: status 5", true, OwnerTarget, "the target failed", "see its log"},
	{"head: status 4", true, OwnerTarget, "the target refuses the request", "check URL, method and headers"},
	{"head: status 3", true, OwnerTarget, "the target sends streams elsewhere", "give the URL that it names"},
	{"head: status 204", false, OwnerTarget, "the target has nothing to stream, and asks clients to come no more", ""},
	{"head: status ", true, OwnerTarget, "the answer is not 200: no stream", "ssegauge check says what is wrong with it"},
	{"head: content", true, OwnerTarget, "the answer is not an event stream", "ssegauge check says what is wrong with it"},
	{"head: no content type", false, OwnerTarget, "the answer does not say that it is an event stream", "ssegauge check says what is wrong with it"},
	{"head: connection closed", false, "", "the connection was closed before an answer", "see the logs of the target and of what is in front of it"},
	{"h2: the peer allows fewer streams", false, OwnerTarget, "the target's SETTINGS allow fewer streams a connection than the plan asks for", "lower --streams-per-conn: more connections then carry the streams"},
	{"h2: out of stream ids", false, OwnerGenerator, "a connection used up its stream ids", "open more connections (--streams-per-conn)"},
	{"h2: the peer does not speak HTTP/2", false, OwnerTarget, "the target answered with something else than HTTP/2", "try --http 1.1"},
	{"h2: REFUSED_STREAM", false, OwnerTarget, "the target took the connection and refused the stream: a limit of streams", "see its limit of concurrent streams"},
	{"h2: ENHANCE_YOUR_CALM", true, OwnerTarget, "the target found the pace of this client excessive", "open more slowly"},
	{"h2: GOAWAY", true, OwnerTarget, "the target told the connection to go", "see what it limits: age, requests or streams of a connection"},
	{"request: cannot be made of the stream's variables", false, OwnerGenerator, "a value of the stream's row, or its number, makes no request", "look at the templates and at the rows that were not tried before the run"},
	{"h2: PROTOCOL_ERROR", false, OwnerTarget, "the target took the stream for a breach; some answer so to one beyond their limit", "lower --streams-per-conn"},
	{"h2: connection closed", false, "", "the connection was closed before an answer", "see the logs of the target and of what is in front of it"},
	{"h2: ", true, OwnerTarget, "the target reset the stream or the connection, or spoke no right HTTP/2", "ssegauge check says what is wrong with it"},
	{"head: HTTP/2 frames", false, OwnerTarget, "the target answered HTTP/1.1 with HTTP/2", "try --http h2c, over TLS --http 2"},
	{"head: h1/status-line", false, OwnerTarget, "the answer does not begin as HTTP/1.1 does: another protocol is spoken at that port", "try --http h2c, or https in the URL; ssegauge check shows the bytes"},
	{"head: ", true, OwnerTarget, "the head of the answer is not right", "ssegauge check says what is wrong with it"},
	{"publish: status ", true, OwnerHook, "the publish was refused", "check --publish-header and --publish-body against what the hook takes"},
	{"publish: command: ", true, OwnerHook, "the command that publishes failed: it could not be run, said no, or ended while events were to come", "run it by hand, with an event as --publish-cmd or --publish-stdin hands it over"},
	{"publish: ", true, OwnerHook, "the event was not published", "try the request or the command of the hook by hand"},
	{"closed: end of response", false, OwnerTarget, "the target ended the stream as HTTP ends a response", "look for a limit of age: its own, or a proxy's"},
	{"closed: connection closed", false, "", "the connection was closed at the other end, by the target or by something on the way", "compare with a run past the proxy"},
	{"closed: cut short", false, "", "the connection was closed in the middle of the response", "compare with a run past the proxy"},
	{"closed: body: connection reset by peer", false, "", "the connection was reset, by the target or by something on the way", "compare with a run past the proxy"},
	{"closed: body: event too large", false, OwnerTarget, "an event was larger than this program takes", ""},
	{"closed: h2: connection closed", false, "", "the connection was closed at the other end, by the target or by something on the way", "compare with a run past the proxy"},
	{"closed: h2: ", true, OwnerTarget, "the target reset the stream or the connection", "see what it limits: age, requests or streams of a connection"},
}
