package conformance

import (
	"context"
	"sync"

	"ssegauge/reference/publish"
)

// hooks counts what is still asked of the operator's hooks, so that a run leaves no command behind. (A [sync.WaitGroup] must not be waited for while it
// is counted up from nothing.)
type hooks struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0 again
}

// count has it counted what is asked of the target's hooks.
func (h *hooks) count(t *Target) {
	if t.Publisher != nil {
		t.Publisher = t.Publisher.Through(func(ctx context.Context, m publish.Message, next publish.Func) (publish.Receipt, error) {
			h.add(1)
			defer h.add(-1)
			return next(ctx, m)
		})
	}
	for _, a := range []*Action{&t.Kill, &t.Restart} {
		if act := *a; act != nil {
			*a = func(ctx context.Context) error {
				h.add(1)
				defer h.add(-1)
				return act(ctx)
			}
		}
	}
}

func (h *hooks) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		h.none = make(chan struct{})
	}
	if h.n += n; h.n == 0 {
		close(h.none)
	}
}

// wait waits until all are done.
func (h *hooks) wait() {
	h.mu.Lock()
	none := h.none
	h.mu.Unlock()
	if none != nil {
		<-none
	}
}
