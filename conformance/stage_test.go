package conformance_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Who talks to the target alone does so by turn and catalogue, whatever order goroutines run in.
func TestTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var order []string
		alone := func(id string, turn conformance.Turn, core bool) conformance.Check {
			return conformance.Check{ID: id, Turn: turn, Core: core, Run: func(ctx context.Context, p *conformance.Probe) {
				p.Observed()
				_, release, ok := p.Alone(ctx)
				if !ok {
					return
				}
				defer release()
				order = append(order, id)
				p.Pass("fine")
			}}
		}
		last := conformance.Check{ID: "last", Run: func(ctx context.Context, p *conformance.Probe) {
			_, release, ok := p.Last(ctx)
			if !ok {
				return
			}
			defer release()
			order = append(order, "last")
			p.Pass("fine")
		}}
		checks := []conformance.Check{
			last, alone("flood", conformance.Flood, false), alone("b", conformance.Ordinary, false), alone("a", conformance.Ordinary, false),
			alone("fresh", conformance.Fresh, false), alone("core", conformance.Flood, true),
		}
		if _, err := conformance.Run(t.Context(), target(serve(ticking)), checks, conformance.Options{}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"core", "fresh", "b", "a", "flood", "last"}; !slices.Equal(order, want) {
			t.Errorf("turns were taken in the order %v, want %v", order, want)
		}
	})
}

// A check that never comes back costs no other its verdict.
func TestStuckCheck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(chan struct{})
		stuck := conformance.Check{ID: "stuck", Run: func(context.Context, *conformance.Probe) { <-free }}
		r, err := conformance.Run(t.Context(), target(serve(ticking)), []conformance.Check{stuck, pass("fine")}, conformance.Options{})
		if err != nil {
			t.Fatal(err)
		}
		close(free)
		if got := r.Results[0]; got.Verdict != result.Error {
			t.Errorf("the stuck check: %s %s, want an error", got.Verdict, got.Message)
		}
		if got := r.Results[1]; got.Verdict != result.Pass {
			t.Errorf("the other: %s %s, want a pass", got.Verdict, got.Message)
		}
	})
}

// A run leaves no command of the operator's behind.
func TestHooksEndWithTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := false
		tg := target(serve(ticking))
		tg.Restart = func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // a command takes a moment to die
			gone = true
			return ctx.Err()
		}
		careless := conformance.Check{ID: "careless", Run: func(ctx context.Context, p *conformance.Probe) {
			go p.Restart(ctx)
			p.Observed()
			p.Pass("fine")
		}}
		if _, err := conformance.Run(t.Context(), tg, []conformance.Check{careless}, conformance.Options{}); err != nil {
			t.Fatal(err)
		}
		if !gone {
			t.Error("the run was over while its hook was still at work")
		}
	})
}
