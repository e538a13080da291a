package authenticate

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// ParseRange reads a range of addresses in CIDR form, or a single address.
func ParseRange(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Addr().Is4In6() { // devices' addresses are looked at as IPv4
			return netip.Prefix{}, fmt.Errorf("got %q, want the range in its IPv4 form", short(text))
		}
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("got %q, want an address range, as 10.0.0.0/8", short(text))
}

// ipRange is a range of addresses in the settings.
type ipRange struct{ netip.Prefix }

// UnmarshalJSON implements json.Unmarshaler.
func (p *ipRange) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return codec.Optionf("", "want an address range, as 10.0.0.0/8")
	}
	prefix, err := ParseRange(text)
	if err != nil {
		return codec.Optionf("", "%v", err)
	}
	p.Prefix = prefix
	return nil
}

// plain is an address as ranges contain it: an IPv4 address that came in by an IPv6
// socket is one of IPv4, and no range has a zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
