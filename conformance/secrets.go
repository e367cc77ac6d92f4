package conformance

import (
	"net/url"
	"slices"
	"sync"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// secrets are the values of all credentials that a run has to do with: the operator's, and those that the target gives.
type secrets struct {
	mu    sync.Mutex
	known result.Secrets
}

// secretsOf are the credentials that the operator of a target lends.
func secretsOf(t *Target) *secrets {
	s := &secrets{}
	s.url(t.Request.URL.String())
	s.header(t.Request.Header)
	s.header(t.Declared.OtherHeader)
	for _, u := range []*url.URL{t.DirectURL, t.Declared.OtherURL, t.Declared.ErrorURL} {
		if u != nil {
			s.url(u.String())
		}
	}
	if u, err := ScenarioURL(t.ScenarioURL, "name"); err == nil {
		s.url(u.String())
	}
	if t.Gauge != nil {
		s.url(t.Gauge.URL.String())
		s.header(t.Gauge.Header)
	}
	if t.Publisher != nil {
		_, u, header, _, _ := t.Publisher.Request(publish.Message{})
		s.url(u)
		for _, f := range header {
			s.add(result.FieldSecrets(f[0], f[1]))
		}
	}
	return s
}

func (s *secrets) url(raw string) { s.add(result.URLSecrets(raw)) }

func (s *secrets) header(h wire.Header) {
	for _, f := range h {
		s.add(result.FieldSecrets(f.Name, f.Value))
	}
}

// heads adds what the target gave in an answer and the redirects before it.
func (s *secrets) heads(h *wire.Head, hops []wire.Hop) {
	if h != nil {
		s.header(h.Header)
	}
	for _, hop := range hops {
		s.header(hop.Head.Header)
	}
}

// maxSecrets bounds what a target can make us look for.
const maxSecrets = 100

func (s *secrets) add(more result.Secrets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range more {
		if one != "" && len(s.known) < maxSecrets && !slices.Contains(s.known, one) {
			s.known = append(s.known, one)
			if escaped := result.Escape(one); escaped != one {
				s.known = append(s.known, escaped)
			}
		}
	}
}

func (s *secrets) all() result.Secrets {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clip(s.known)
}

// conceal takes them out of what a finding says; its evidence never had them.
func (s *secrets) conceal(f *result.Finding) {
	known := s.all()
	f.Message, f.Hint, f.Reproduce = known.Conceal(f.Message), known.Conceal(f.Hint), known.Conceal(f.Reproduce)
}

// secrets are what must not be shown of the connection's bytes.
func (c *Connection) secrets() result.Secrets { return c.hide.all() }
