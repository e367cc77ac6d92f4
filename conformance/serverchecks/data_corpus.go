package serverchecks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
)

// payload is the text to publish, with the nonce in it wherever a part of it might come to stand alone. Messages show it with a plain word in the nonce's
// place.
type payload func(nonce string) string

const word = "word"

func (t payload) String() string {
	s := t(word)
	if len(s) > longShown {
		return fmt.Sprintf("%s of %d bytes", exactly(s), len(s))
	}
	return exactly(s)
}

func (t payload) message(nonce string) publish.Message { return publish.Message{Data: t(nonce)} }

// corpus is what became of payloads that were published together.
type corpus struct {
	arrived, normalised, unknown int
	refused                      []string
	failed                       payload // nil: none
	fault                        outcome
	delivery                     *conformance.Delivery
}

// fidelity publishes the payloads and holds what arrived against them. A payload that fails is published again before anyone is blamed, and then shrunk.
func fidelity(ctx context.Context, p *conformance.Probe, hint string, payloads ...payload) {
	c, ok := try(ctx, p, payloads)
	if !ok {
		return
	}
	if c.failed != nil {
		small, d, fault := shrink(ctx, p, c)
		p.Fail("payload %s: %s", small, fault.fault).Hint("%s", hint).At(fault.at...).Try(p.Republish(d))
		return
	}
	c.report(p)
}

// try publishes the payloads all at once, and those that did not come out right once more by themselves, up to the first that fails both times. ok is false where
// nothing could be published, which has been reported.
func try(ctx context.Context, p *conformance.Probe, payloads []payload) (c corpus, ok bool) {
	if !p.Target().Publisher.Uses("Data") {
		p.NotObserved("the publish hook never mentions .Data, so no payload can be chosen").Hint("use {{.Data}} or {{json .Data}} in --publish-body").By("--publish")
		return c, false
	}
	var makes []func(string) publish.Message
	for _, t := range payloads {
		makes = append(makes, t.message)
	}
	ds, err := p.PublishAll(ctx, makes...)
	for i := 0; err == nil && i < len(ds); i++ {
		d, t := ds[i], payloads[i]
		o := compare(d)
		if d.Receipt.Refused && len(c.refused) == 0 || !d.Receipt.Refused && o.fault != "" {
			if d, err = p.Publish(ctx, true, t.message); err != nil {
				break
			}
			o = compare(d)
		}
		switch {
		case d.Receipt.Refused:
			c.refused = append(c.refused, fmt.Sprintf("%s (%d)", t, d.Receipt.Status))
		case o.equal:
			c.arrived++
		case o.normalised:
			c.arrived++
			c.normalised++
		case o.fault != "":
			c.failed, c.fault, c.delivery = t, o, d
			return c, true
		default:
			c.unknown++
		}
	}
	if err != nil {
		unjudged(p, err)
		return c, false
	}
	return c, true
}

// report says what it came to where no payload failed.
func (c *corpus) report(p *conformance.Probe) {
	if c.unknown > 0 {
		p.NotObserved("%s arrived wrapped in something that could not be taken away", plural(c.unknown, "payload")).
			Hint("a hook that makes the target send the data as it is would decide it").By("--publish")
		return
	}
	if c.arrived == 0 && len(c.refused) > 0 {
		p.NotObserved("the target refused %s, which is its right", strings.Join(c.refused, ", "))
		return
	}
	note := ""
	if c.normalised > 0 {
		note = ", CRLF normalised to LF"
	}
	if len(c.refused) > 0 {
		note += "; refused: " + strings.Join(c.refused, ", ")
	}
	p.Pass("%s arrived as published%s", plural(c.arrived, "payload"), note)
}

// Bounds on shrinking: what it may cost, beside the window.
const (
	shrinkRounds = 4
	shrinkTime   = 3 * time.Second
	shrinkTries  = 24 // payloads in one round
)

// stand is the nonce's place in a payload that is being shrunk.
const stand = '\uE000'

// shrink looks for the smallest payload that still fails. Each round publishes some smaller ones together; what is found is published once more by itself, and is
// given up where it comes out right then.
func shrink(ctx context.Context, p *conformance.Probe, c corpus) (payload, *conformance.Delivery, outcome) {
	small, best, fault := c.failed, c.delivery, c.fault
	if best.Lost {
		return small, best, fault // each attempt would be waited for
	}
	start := time.Now()
	found := false
	for round := 0; round < shrinkRounds && time.Since(start) < shrinkTime; round++ {
		smaller := reduce([]rune(small(string(stand))))
		var makes []func(string) publish.Message
		for _, t := range smaller {
			makes = append(makes, t.message)
		}
		ds, err := p.PublishAll(ctx, makes...)
		if err != nil {
			break
		}
		next := -1
		for i, d := range ds {
			if o := compare(d); o.fault != "" && !d.Lost && (next < 0 || len(smaller[i](word)) < len(smaller[next](word))) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		small, found = smaller[next], true
	}
	if found {
		if d, err := p.Publish(ctx, true, small.message); err == nil && !d.Lost && !d.Receipt.Refused {
			if o := compare(d); o.fault != "" {
				return small, d, o
			}
		}
		small = c.failed
	}
	return small, best, fault
}

// begins tells whether a payload starts with what has a meaning after "data:".
func begins(text string) bool { return text != "" && strings.ContainsRune(" \t:", rune(text[0])) }

// reduce makes smaller payloads of one: single characters between nonces where it is short, else eighths of it, and both halves.
func reduce(r []rune) []payload {
	var all []payload
	seen := map[string]bool{}
	add := func(parts ...[]rune) {
		text := string(slices.Concat(parts...))
		if begins(text) && !begins(string(r)) {
			return // what comes of that is another fault: the space or colon at the start
		}
		if !strings.ContainsRune(text, stand) {
			text = string(stand) + text
		}
		if m := len([]rune(text)); m < len(r) && !seen[text] && len(all) < shrinkTries {
			seen[text] = true
			all = append(all, func(n string) string { return strings.ReplaceAll(text, string(stand), n) })
		}
	}
	n := len(r)
	if n <= shrinkTries {
		for _, c := range r {
			if c != stand {
				add([]rune{c, stand})
				add([]rune{stand, c, stand})
			}
		}
		for i := range r {
			add(r[:i], r[i+1:])
		}
		return all
	}
	for i := range 8 {
		part := r[i*n/8 : (i+1)*n/8]
		add([]rune{stand}, part, []rune{stand})
	}
	add(r[:n/2], []rune{stand})
	add([]rune{stand}, r[n/2:])
	return all
}
