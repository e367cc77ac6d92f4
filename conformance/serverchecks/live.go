package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Live is liveness and delivery: what arrives when.
var Live = []conformance.Check{
	liveHeadersFlushed,
	liveUnbuffered,
	liveDelay,
	{ID: "live/proxy-diff", Title: "what lies in front of the server changes nothing", Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Extra},
	liveHeartbeat,
	liveHeartbeatForm,
	liveHeartbeatFraming,
	{ID: "live/no-deadline", Title: "the stream is not cut after a fixed time", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Long},
	liveSecondConnection,
	deliveryBurst,
	deliveryEverySubscriber,
}
