package device

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
)

// Dialer returns a function for Options.Dial that binds the source addresses in
// turn. More than one address widens the range of ports, of which there are about
// 28,000 for each; none leaves the choice to the system.
func Dialer(sources []netip.Addr) func(ctx context.Context, network, address string) (net.Conn, error) {
	var turn atomic.Uint64
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		if len(sources) > 0 {
			source := netip.AddrPortFrom(sources[turn.Add(1)%uint64(len(sources))], 0)
			switch network {
			case "tcp":
				dialer.LocalAddr = net.TCPAddrFromAddrPort(source)
				dialer.Control = bindLate
			case "udp":
				dialer.LocalAddr = net.UDPAddrFromAddrPort(source)
			default:
				return nil, fmt.Errorf("network %q: allowed are tcp and udp", network)
			}
		}
		return dialer.DialContext(ctx, network, address)
	}
}
