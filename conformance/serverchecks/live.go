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
	liveProxyDiff,
	liveHeartbeat,
	liveHeartbeatForm,
	liveHeartbeatFraming,
	{ID: "live/no-deadline", Title: "the stream is not cut after a fixed time", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Long},
	liveSecondConnection,
	deliveryBurst,
	deliveryEverySubscriber,
}
