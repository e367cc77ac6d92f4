package main

import (
	"github.com/spf13/cobra"

	"ssegauge/loadgen/plan"
)

// stampFlags say where events carry the time at which they were sent.
type stampFlags struct{ json, regexp string }

func (s *stampFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.json, "timestamp-json", "", "without --publish: `path` in JSON data to the time an event was sent, as in meta.sent or /meta/sent")
	f.StringVar(&s.regexp, "timestamp-regex", "", "the same: `expression` whose first group is that time (s, ms, us, ns since 1970 or RFC 3339; told by itself)")
}

// apply puts what is given into the plan.
func (s *stampFlags) apply(p *plan.Plan) {
	if s.json != "" || s.regexp != "" {
		p.Timestamp = &plan.Timestamp{JSON: s.json, Regexp: s.regexp}
	}
}
