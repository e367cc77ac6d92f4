package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// CORS is use from pages of other origins.
var CORS = []conformance.Check{
	{ID: "cors/allow-origin", Title: "the page's origin is allowed", Level: result.Must, Clause: "Fetch, CORS check", Needs: conformance.Extra},
	{ID: "cors/credentials", Title: "credentials are allowed for one named origin", Level: result.Must, Clause: "Fetch, CORS check", Needs: conformance.Extra},
	{ID: "cors/vary", Title: "Vary names Origin where the answer depends on it", Level: result.Should, Clause: "Fetch, CORS protocol and HTTP caches", Needs: conformance.Extra},
	{ID: "cors/stream-and-error", Title: "errors are readable across origins too", Level: result.Should, Clause: "Fetch, CORS check", Needs: conformance.Extra},
	{ID: "cors/preflight/last-event-id", Title: "a preflight for Last-Event-ID succeeds", Level: result.Should, Clause: "Fetch, CORS-preflight fetch", Needs: conformance.Extra},
}
