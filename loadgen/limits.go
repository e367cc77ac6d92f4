package loadgen

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sort"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/plan"
)

const localPorts = "local ports to one address"

// On loopback more than pooledFrom connections to one address come from several, with portsFilled each at most: the kernel takes every other port of the range
// first, those that a run before has left waiting excepted, and looks long for one when most of them are taken. 15,000 connections from one address cost
// six times the processor time that they cost from several. A few connections stay with one, for the sake of what servers allow an address.
const (
	pooledFrom  = 2_000
	portsFilled = 4_000
)

// share is how many of n streams go to target i.
func share(n, i, targets int) int { return max(0, (n-i+targets-1)/targets) }

// chooseSources sets from which local addresses each target is connected to: those of the plan, else on loopback as many as there are ports needed for.
func chooseSources(p *plan.Plan, targets []engine.Target) error {
	given, err := p.SourceAddrs()
	if err != nil {
		return err
	}
	streams := p.Openings().Len()
	for i := range targets {
		t := &targets[i]
		if t.Dial != nil {
			continue
		}
		v4, loopback := true, true
		for _, a := range t.Addrs {
			ap, err := netip.ParseAddrPort(a)
			v4 = v4 && err == nil && ap.Addr().Unmap().Is4()
			loopback = loopback && err == nil && ap.Addr().IsLoopback()
		}
		for _, a := range given {
			if a.Is4() == v4 {
				t.Sources = append(t.Sources, a)
			}
		}
		if len(given) > 0 && len(t.Sources) == 0 {
			return &plan.Error{Where: "sources", What: "none is of the same family as " + t.Addrs[0]}
		}
		if k := t.Connections(share(streams, i, len(targets)), p.StreamsPerConn) / len(t.Addrs); len(given) == 0 && v4 && loopback && k > pooledFrom {
			a := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			for range (k + portsFilled - 1) / portsFilled {
				t.Sources = append(t.Sources, a)
				a = a.Next()
			}
		}
	}
	return nil
}

// checkLimits says if the plan does not fit. How many finite streams are open at one time, only the run can tell.
func checkLimits(p *plan.Plan, targets []engine.Target) error {
	if err := checkFiles(p, targets); err != nil {
		return err
	}
	if err := checkPorts(p, targets); err != nil {
		return err
	}
	return nil
}

// need is how many connections target i of the first n streams needs.
func need(p *plan.Plan, targets []engine.Target, n, i int) int {
	return targets[i].Connections(share(n, i, len(targets)), p.StreamsPerConn)
}

// fits is the greatest number of streams, up to n, that is within a limit.
func fits(n int, within func(n int) bool) int {
	return sort.Search(n+1, func(n int) bool { return !within(n) }) - 1
}

// checkFiles raises the limit of descriptors to what is allowed.
func checkFiles(p *plan.Plan, targets []engine.Target) *LimitError {
	limit, ok := raiseFiles()
	if !ok || p.IsFinite() {
		return nil
	}
	all := func(n int) (sum int) {
		for i := range targets {
			sum += need(p, targets, n, i)
		}
		return sum
	}
	streams := p.Openings().Len()
	room := max(0, int(min(limit, 1<<40))-openFiles()-spareFiles)
	if n := fits(streams, func(n int) bool { return all(n) <= room }); n < streams {
		return &LimitError{What: "file descriptors", Limit: limit, Need: all(streams), Fits: n}
	}
	return nil
}

// checkPorts counts the ports of the source addresses.
func checkPorts(p *plan.Plan, targets []engine.Target) *LimitError {
	ports := portRange()
	if ports == 0 || p.IsFinite() {
		return nil
	}
	streams := p.Openings().Len()
	for i := range targets {
		t := &targets[i]
		addrs := slices.Compact(slices.Sorted(slices.Values(t.Addrs)))
		room := ports * max(1, len(t.Sources)) * len(addrs)
		if n := fits(streams, func(n int) bool { return need(p, targets, n, i) <= room }); n < streams {
			return &LimitError{What: localPorts, Limit: uint64(room), Need: need(p, targets, streams, i), Fits: n}
		}
	}
	return nil
}

// portRange is how many local ports the system takes connections' from; 0 where that cannot be seen.
func portRange() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var low, high int
	if n, _ := fmt.Sscan(string(b), &low, &high); n < 2 || high < low {
		return 0
	}
	return high - low + 1
}

// spareFiles is for the publisher, the report and the runtime.
const spareFiles = 128

// openFiles is how many descriptors this process holds now; where that cannot be seen, a few.
func openFiles() int {
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		return len(entries)
	}
	return 16
}
