package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// fail answers with a one-line reason.
func fail(w http.ResponseWriter, status int, reason string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(reason + "\n"))
}

func answerJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n'))
}

// allow answers OPTIONS and refuses other methods than those given (RFC 9110 9.3.7, 15.5.6).
func allow(methods []string, next http.Handler) http.Handler {
	list := strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", list)
			if r.Header.Get("Access-Control-Request-Method") != "" {
				w.Header().Set("Access-Control-Allow-Methods", list)
			}
			w.WriteHeader(http.StatusNoContent)
		case !slices.Contains(methods, r.Method):
			w.Header().Set("Allow", list)
			fail(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here: "+list)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// corsRequestHeaders are the request fields that a page may set across origins. Last-Event-ID needs it where an id is
// long or holds unsafe bytes (Fetch, "CORS-safelisted request-header").
const corsRequestHeaders = "Last-Event-ID, Authorization, Cache-Control, Content-Type, Accept"

// cors puts the CORS fields on every answer, errors too: without them a page cannot tell a 503 from a network error.
func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, wptPrefix) {
			next.ServeHTTP(w, r) // these tests bring their own, wrong ones included
			return
		}
		h := w.Header()
		if len(s.cfg.Origins) == 0 {
			h.Set("Access-Control-Allow-Origin", "*")
		} else {
			h.Add("Vary", "Origin")
			if origin := r.Header.Get("Origin"); slices.Contains(s.cfg.Origins, origin) {
				h.Set("Access-Control-Allow-Origin", origin)
				h.Set("Access-Control-Allow-Credentials", "true")
			}
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
			h.Set("Access-Control-Max-Age", "600")
		}
		if s.fault.CORS != nil {
			s.fault.CORS(h, r)
		}
		next.ServeHTTP(w, r)
	})
}
