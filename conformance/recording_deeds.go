package conformance

import (
	"cmp"
	"slices"
	"strings"
)

// Deed is one thing that a recorded run did: a request, a message that it published, or an action.
type Deed struct {
	Check   string // on whose behalf; "": the run itself
	Kind    string // request, publish, kill, restart
	Request string // "GET http://host/events", HTTP/1.0 behind it where that was spoken
	Header  []string
	Body    string
	Message map[string]string // id, event, data, retry, comment: those that are set; data of more than 1 KiB is cut
}

// Deeds returns them in their order, credentials masked and bytes that do not print escaped.
func (r *Recording) Deeds() []Deed {
	r.mu.Lock()
	defer r.mu.Unlock()
	type ordered struct {
		Deed
		order int64
	}
	var all []ordered
	for i := range r.conns {
		c := &r.conns[i]
		for _, a := range c.Requests {
			head, body, _ := strings.Cut(a.Request, "\n\n")
			lines := strings.Split(head, "\n")
			all = append(all, ordered{Deed{Check: c.Check, Kind: "request", Request: lines[0], Header: lines[1:], Body: body}, a.Order})
		}
	}
	for i := range r.posts {
		p := &r.posts[i]
		m := map[string]string{"data": p.Message.Data}
		for name, value := range map[string]string{"id": p.Message.ID, "event": p.Message.Event, "retry": p.Message.Retry, "comment": p.Message.Comment} {
			if value != "" {
				m[name] = value
			}
		}
		all = append(all, ordered{Deed{Check: p.Check, Kind: "publish", Message: m}, p.Order})
	}
	for i := range r.actions {
		a := &r.actions[i]
		all = append(all, ordered{Deed{Check: a.Check, Kind: a.Action}, a.Order})
	}
	slices.SortStableFunc(all, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	deeds := make([]Deed, len(all))
	for i := range all {
		deeds[i] = all[i].Deed
		deeds[i].Check = strings.TrimPrefix(deeds[i].Check, wakes)
	}
	return deeds
}
