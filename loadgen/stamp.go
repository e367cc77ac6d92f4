package loadgen

import (
	"net"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/plan"
)

// newStamp is what finds the time stamps that the plan speaks of, nil if it speaks of none.
func newStamp(p *plan.Plan) (*measure.Stamp, error) {
	t := p.Timestamp
	if t == nil {
		return nil, nil
	}
	if t.JSON != "" {
		s, err := measure.StampJSON(t.JSON)
		if err != nil {
			return nil, &plan.Error{Where: "timestamp.json", What: err.Error()}
		}
		return s, nil
	}
	s, err := measure.StampRegexp(t.Regexp)
	if err != nil {
		return nil, &plan.Error{Where: "timestamp.regex", What: err.Error()}
	}
	return s, nil
}

// sameMachine tells whether all targets are reached at addresses of this machine, so that what stamps events there reads the clock that we read.
func sameMachine(targets []engine.Target) bool {
	own, _ := net.InterfaceAddrs() // without them only loopback is known
	for _, t := range targets {
		for _, addr := range t.Addrs {
			host, _, _ := net.SplitHostPort(addr)
			if !isOwn(net.ParseIP(host), own) && host != "localhost" {
				return false
			}
		}
	}
	return true
}

func isOwn(ip net.IP, own []net.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}
