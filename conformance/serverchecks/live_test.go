package serverchecks_test

import "ssegauge/conformance"

// liveFaults break the rules of delivery, of how streams end, and of how they share the server.
var liveFaults = []fault{}

// liveElsewhere names the test that proves a check which the matrix of peers cannot.
var liveElsewhere = map[string]string{}

// What the reference server's faults change besides, and what they need to show.
var (
	liveFollows = map[string]string{}
	liveChange  = map[string]func(*conformance.Target){}
)
