package conformance

// Probe is all that a check may touch.
type Probe struct{ _ int }
