package serverchecks

import "ssegauge/conformance"

// Live is liveness and delivery: what arrives when.
var Live = []conformance.Check{
	liveHeadersFlushed,
	liveUnbuffered,
	liveDelay,
	liveProxyDiff,
	liveHeartbeat,
	liveHeartbeatForm,
	liveHeartbeatFraming,
	liveNoDeadline,
	liveSecondConnection,
	deliveryBurst,
	deliveryEverySubscriber,
}
