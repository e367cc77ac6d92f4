package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// unasked are flags about a request or a hook, of which there is none where the stream comes on stdin. A profile may name them.
var unasked = []string{
	"header", "method", "body", "http", "insecure", "cacert", "cert", "key", "connect-to", "timeout",
	"publish", "publish-header", "publish-body", "publish-cmd", "scenario-url", "kill-cmd", "restart-cmd", "gauge-url", "direct-url", "active", "record", "dry-run",
}

// piped judges the stream on stdin.
func (c *checkFlags) piped(ctx context.Context, a *app, cmd *cobra.Command) error {
	for _, name := range unasked {
		if cmd.Flags().Changed(name) {
			return usagef("--%s: with - nothing is asked of anybody: the stream comes on stdin", name)
		}
	}
	if err := c.target.applyProfile(cmd); err != nil {
		return err
	}
	if err := c.output.check(); err != nil {
		return err
	}
	checks, err := c.selected(func(checks []conformance.Check) []conformance.Check {
		return conformance.OfBytes(checks, c.lent.declared.finite)
	})
	if err != nil {
		return err
	}
	t := conformance.Target{Window: c.window}
	if err := c.lent.fill(&t); err != nil {
		return err
	}
	judge := func(ctx context.Context, t conformance.Target, checks []conformance.Check, o conformance.Options) (*result.Run, error) {
		return conformance.RunPiped(ctx, a.stdin, t, checks, o)
	}
	err = c.judge(ctx, a, judge, []conformance.Target{t}, checks)
	if errors.Is(err, conformance.ErrHead) {
		return usagef("stdin: %v", err)
	}
	return err
}
