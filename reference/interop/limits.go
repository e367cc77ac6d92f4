package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// limit is what a report says of one limit.
type limit struct {
	ID, Verdict, Unit, Owner, Evidence string
	Low, High                          *float64
	Fact                               bool // a measurement that stops nobody
}

// limits compares the limits that are found with those that the server is set up to have.
func (h *harness) limits(ctx context.Context, c *Case, p place, o *outcome) {
	var run struct{ Limits []limit }
	args := append([]string{"limits"}, c.target(p)...)
	args = append(append(args, c.hook(p)...), p.expandAll(c.Limits.Flags)...)
	code, err := h.ssegauge(ctx, c, &run, args...)
	if err != nil {
		o.differ("limits: %v", err)
		return
	}
	if code != c.Limits.Exit {
		o.differ("limits: exit %d, expected %d", code, c.Limits.Exit)
	}
	said := map[string]*limit{}
	var parts []string
	for i := range run.Limits {
		l := &run.Limits[i]
		said[l.ID] = l
		if l.Verdict != "found" {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s", l.ID, l.interval()))
		if _, listed := c.Limits.Expect[l.ID]; !listed && !l.Fact {
			o.differ("%s: found %s where it is not set (%s)", l.ID, l.interval(), l.Evidence)
		}
	}
	o.check = strings.Join(parts, ", ")
	for _, id := range slices.Sorted(maps.Keys(c.Limits.Expect)) {
		l := said[id]
		if l == nil {
			o.differ("%s: not in the report", id)
			continue
		}
		if wrong := c.Limits.Expect[id].against(l); wrong != "" {
			o.differ("%s: %s (%s)", id, wrong, l.Evidence)
		}
	}
}

// against says how a limit differs from what is expected, "" if it does not.
func (b Bound) against(l *limit) string {
	want := b.Verdict
	if want == "" {
		want = "found"
	}
	switch {
	case l.Verdict != want:
		return fmt.Sprintf("%s, expected %s", l.Verdict, want)
	case b.Owner != l.Owner:
		return fmt.Sprintf("owner %q, expected %q", l.Owner, b.Owner)
	case b.Is != nil && (l.Low == nil || l.High == nil):
		return fmt.Sprintf("no interval, expected %v", *b.Is)
	case b.Is != nil && (*l.Low > *b.Is+b.Slack || *l.High < *b.Is-b.Slack || *l.High-*l.Low > 2*b.Slack):
		return fmt.Sprintf("found %s, expected %v, slack %v", l.interval(), *b.Is, b.Slack)
	}
	if ok, err := regexp.MatchString(b.Says, l.Evidence); !ok {
		return fmt.Sprintf("the evidence does not say %q (%v)", b.Says, err)
	}
	return ""
}

func (l *limit) interval() string {
	switch {
	case l.Low == nil || l.High == nil:
		return "?"
	case *l.Low == *l.High:
		return fmt.Sprintf("%.6g %s", *l.Low, l.Unit)
	}
	return fmt.Sprintf("%.6g to %.6g %s", *l.Low, *l.High, l.Unit)
}
