package serverchecks

import "ssegauge/conformance"

// Lifecycle is how streams stop, end and share a server.
var Lifecycle = []conformance.Check{
	stop204,
	stopFiniteLoop,
	lifecyclePersists,
	lifecycleClientClose,
	lifecycleShutdown,
	lifecycleEndBoundary,
	loadIsolation,
	loadSlowPolicy,
	loadMany,
	loadSix,
}
