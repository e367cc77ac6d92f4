package serverchecks_test

import "ssegauge/conformance"

// bytesFaults break the rules of lines and fields, and of what becomes of payloads.
var bytesFaults = []fault{}

// bytesElsewhere names the test that proves a check which the matrix of peers cannot.
var bytesElsewhere = map[string]string{}

// What the reference server's faults change besides, and what they need to show.
var (
	bytesFollows = map[string]string{}
	bytesChange  = map[string]func(*conformance.Target){}
)
