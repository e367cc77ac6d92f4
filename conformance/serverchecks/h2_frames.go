package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// otherFrameFaults are breaches of RFC 9113 that are none of framing: other checks judge them, or the network may have made them, or no client minds.
var otherFrameFaults = map[wire.FaultCode]bool{
	wire.FaultH2Status: true, wire.FaultH2Pseudo: true, wire.FaultH2PseudoOrder: true, wire.FaultH2FieldCase: true, wire.FaultH2FieldName: true,
	wire.FaultH2FieldValue: true, wire.FaultH2Connection: true, wire.FaultH2Length: true, wire.FaultH2Truncated: true, wire.FaultH2Incomplete: true,
	wire.FaultH2SettingsAck: true, wire.FaultH2PaddingBytes: true,
}

// frameFaults are the other ones.
var frameFaults = func() map[wire.FaultCode]bool {
	m := map[wire.FaultCode]bool{}
	for _, f := range wire.FrameFaults {
		m[f.Code] = !otherFrameFaults[f.Code]
	}
	return m
}()

// brokenFrames are the frames on the connection that break the rules of HTTP/2.
func brokenFrames(c *conformance.Connection) []wire.Fault {
	var found []wire.Fault
	for _, f := range c.Faults() {
		if frameFaults[f.Code] {
			found = append(found, f)
		}
	}
	return found
}

// judgeFrames is http/body-framing over HTTP/2: the body is what stands in DATA, and one frame out of order ends the connection with all its streams.
func judgeFrames(p *conformance.Probe) {
	n := 0
	for _, c := range p.Observed() {
		for _, f := range brokenFrames(c) {
			p.Fail("%s (%s)", result.Escape(f.Detail), f.Clause).Hint("let a library do the framing; clients end the connection with all its streams").
				At(c.WireEvidence(f.Offset, f.Offset+int64(f.Length)))
		}
		n += len(c.Content())
	}
	p.Pass("%s of content in frames that are in order", plural(n, "byte"))
}
