package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Live is liveness and delivery: what arrives when.
var Live = []conformance.Check{
	liveHeadersFlushed,
	{ID: "live/unbuffered", Title: "each event is delivered when it is published", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "live/delay", Title: "an event on an idle stream is not held back", Level: result.Advice, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish},
	{ID: "live/proxy-diff", Title: "what lies in front of the server changes nothing", Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Extra},
	liveHeartbeat,
	{ID: "live/heartbeat/form", Title: "heartbeats are comments", Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Long},
	{ID: "live/heartbeat/framing", Title: "whether heartbeats end with a blank line", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Long},
	{ID: "live/no-deadline", Title: "the stream is not cut after a fixed time", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Long},
	{ID: "live/second-connection", Title: "an older connection gets what a newer one gets", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Many},
	{ID: "delivery/burst", Title: "a burst of events arrives whole and in order", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "delivery/every-subscriber", Title: "every subscriber gets every event", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish | conformance.Many},
}
