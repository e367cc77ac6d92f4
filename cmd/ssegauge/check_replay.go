package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/reports/result"
)

// recorded are flags about what stands in a recording, beside those of [unasked] and of the cooperation.
var recorded = []string{"window", "record"}

// again judges a recording.
func (c *checkFlags) again(ctx context.Context, a *app, cmd *cobra.Command) error {
	for _, name := range slices.Concat(unasked, cooperation, recorded) {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return usagef("--%s: with --replay that is as it was recorded", name)
		}
	}
	if err := c.output.check(); err != nil {
		return err
	}
	file, err := os.Open(c.replay)
	if err != nil {
		return usagef("--replay: %v", plain(err))
	}
	defer file.Close()
	rec, err := conformance.ReadRecording(file)
	if err != nil {
		return usagef("--replay %s: %v", c.replay, err)
	}
	if err := c.target.applyProfile(cmd); err != nil {
		return err
	}
	for _, id := range rec.Checks {
		if check, ok := catalogue.Lookup(id); ok && check.Profile != "" && !slices.Contains(c.profiles, check.Profile) {
			c.profiles = append(c.profiles, check.Profile)
		}
	}
	c.window = max(rec.Duration, conformance.DefaultWindow)
	checks, err := c.selected(func(checks []conformance.Check) []conformance.Check {
		return slices.DeleteFunc(checks, func(c conformance.Check) bool { return !rec.Selects(c.ID) })
	})
	if err != nil {
		return err
	}
	judge := func(ctx context.Context, _ conformance.Target, checks []conformance.Check, o conformance.Options) (*result.Run, error) {
		return rec.Replay(ctx, checks, o)
	}
	return c.judge(ctx, a, judge, []conformance.Target{{Window: rec.Duration}}, checks)
}
