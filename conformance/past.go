package conformance

import (
	"context"
	"errors"
	"slices"

	"ssegauge/reports/result"
)

// past is what is known when the same checks were held against the target past what lies in front of it.
type past struct {
	through []result.Finding // of this run
	direct  *result.Run
	err     error
}

// Past gives the findings of this run and those of the same checks by the direct way. Only checks that need [Direct] may ask: they run after all others.
// err tells why there are none by the direct way.
func (p *Probe) Past() (through, direct []result.Finding, err error) {
	switch w := p.s.past; {
	case w == nil:
		return nil, nil, errors.New("no direct way was given")
	case w.err != nil:
		return w.through, nil, w.err
	default:
		return w.through, w.direct.Results, nil
	}
}

// goPast holds the same checks against the target by the direct way.
func (s *session) goPast(ctx context.Context, findings []result.Finding, built []*Check) {
	if s.target.DirectURL == nil || !slices.ContainsFunc(built, func(c *Check) bool { return c.Needs&Direct != 0 }) {
		return
	}
	w := &past{}
	var same []Check
	for i, c := range built {
		if c.Needs&Direct == 0 {
			same = append(same, *c)
			w.through = append(w.through, findings[i])
		}
	}
	t := s.target
	t.Request.URL, t.DirectURL, t.Dialer.ConnectTo = t.DirectURL, nil, ""
	if ctx.Err() != nil {
		w.err = errors.New("interrupted")
	} else {
		w.direct, w.err = Run(ctx, t, same, Options{tape: s.tape, scope: "direct", seed: s.seed})
	}
	if w.err == nil && w.direct.Interrupted {
		w.err = errors.New("interrupted")
	}
	s.past = w
}
