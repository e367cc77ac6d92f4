// Package conformance judges servers and clients: a [Check] is a requirement as a value, a [Probe] is all
// that its Run may touch, and [Run] executes a list of them. The lists themselves stand in serverchecks
// (and clientchecks), the catalogue of all of them in conformance/catalogue.
//
// It may import reference/* and reports/result. To add a check: one entry in a file of serverchecks, a fault of its id in
// reference/server, and scripted peers on which it passes and fails.
package conformance

import (
	"context"

	"ssegauge/reports/result"
)

// Check is one requirement that a target can be held to.
type Check struct {
	ID      string       // stable name, never reused: "data/multiline"
	Title   string       // one line, what a right server does
	Level   result.Level // a fact with a citation
	Clause  string       // "WHATWG HTML 9.2.5", or "no clause; contract"
	Needs   Needs        // cooperation it cannot do without
	Core    bool         // of the core set: a run that decides too little of it concludes nothing
	Turn    Turn         // when it talks to the target, of those that do it alone
	Profile string       // the optional profile that it belongs to, set by the list of those; "": it is everyone's
	Gentle  bool         // its further requests do not act, whatever the method of the nominal one

	// For `explain`, in our own words.
	Text     string   // the requirement
	Why      string   // what breaks in the field when it is not met
	Good     string   // bytes that meet it
	Bad      string   // bytes that do not
	Evidence []string // public issues: "nestjs/nest#16686"

	// Run judges through p; nil: listed, not built yet.
	Run func(ctx context.Context, p *Probe)
}

// Turn is when a check talks to the target, of those that do it alone: the core set first, then in the catalogue's order within a turn.
type Turn int8

// The turns.
const (
	Fresh    Turn = iota - 1 // it goes back to what was observed: a server's history may forget that when others publish more
	Ordinary                 //
	Flood                    // it publishes so much that a history forgets what was before
)

// Needs is a set of means of cooperation, as the catalogue's column names them.
type Needs uint16

// The means.
const (
	Observe  Needs = 1 << iota // O: one normal connection
	Extra                      // H: further requests with other fields, methods or versions
	Publish                    // P: a publish hook; together with Observe: something can be said without one
	Scenario                   // S: a scenario URL
	Kill                       // K: a way to end or restart the stream
	Gauge                      // G: number of open streams
	Long                       // L: long observation
	Many                       // M: several connections
	Direct                     // a way past what lies in front of the target; such a check runs after all others
)

// means are the bits of Needs with the word that users read.
var means = [...]struct {
	bit  Needs
	name string
}{
	{Observe, "observe"},
	{Extra, "extra requests"},
	{Publish, "publish hook"},
	{Scenario, "scenario URL"},
	{Kill, "kill hook"},
	{Gauge, "gauge"},
	{Long, "long observation"},
	{Many, "several connections"},
	{Direct, "direct URL"},
}

// Names lists the means in words: "observe", "publish hook".
func (n Needs) Names() []string {
	var names []string
	for _, m := range means {
		if n&m.bit != 0 {
			names = append(names, m.name)
		}
	}
	return names
}
