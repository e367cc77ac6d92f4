package plan

import (
	"fmt"
	"net/netip"
)

// maxSources bounds the addresses of all sources: each has some 28,000 ports.
const maxSources = 1024

// SourceAddrs are the local addresses to connect from: of a CIDR its hosts, as far as they are needed. The error is an *[Error].
func (p *Plan) SourceAddrs() (all []netip.Addr, err error) {
	for i, s := range p.Sources {
		where := fmt.Sprintf("sources[%d]", i)
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, a.Unmap())
			continue
		}
		net, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, &Error{where, quote(s) + " is no address or CIDR, as in 10.0.0.5 or 10.0.0.16/28"}
		}
		a := net.Masked().Addr()
		if a.Is4() && net.Bits() < 31 {
			a = a.Next() // not that of the network itself
		}
		for ; net.Contains(a) && len(all) < maxSources; a = a.Next() {
			if next := a.Next(); a.Is4() && net.Bits() < 31 && !net.Contains(next) {
				break // nor the broadcast address
			}
			all = append(all, a)
		}
	}
	if len(all) > maxSources {
		return nil, &Error{"sources", fmt.Sprintf("%d addresses; want at most %d", len(all), maxSources)}
	}
	return all, nil
}
