package authenticate

import (
	"context"
	"encoding/json"
	"net/netip"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxRanges bounds each list: they are searched from end to end.
const maxRanges = 1000

// AddressesSpec is the settings of the kind addresses: ranges in CIDR form, or single
// addresses. The first list that has the device's address decides, in this order.
//
// The source of a datagram can be forged: on a UDP listener these are worth something
// only where the network keeps foreign ones out.
type AddressesSpec struct {
	Deny  []ipRange `json:"deny"`
	Allow []ipRange `json:"allow"`
	// Next goes on to the next authenticator.
	Next []ipRange `json:"next"`
	// Otherwise is for all others: "next" (the default), "deny" or "allow".
	Otherwise string `json:"otherwise"`
}

type addresses struct {
	deny, allow, next []ipRange
	otherwise         Decision
}

func newAddresses(settings json.RawMessage) (Authenticator, error) {
	var spec AddressesSpec
	if err := codec.DecodeOptions(settings, &spec); err != nil {
		return nil, err
	}
	for at, list := range map[string][]ipRange{"/deny": spec.Deny, "/allow": spec.Allow, "/next": spec.Next} {
		if len(list) > maxRanges {
			return nil, codec.Optionf(at, "has %d ranges, at most %d are allowed", len(list), maxRanges)
		}
	}
	otherwise, err := decision("/otherwise", spec.Otherwise, Next, Next, Deny, Allow)
	if err != nil {
		return nil, err
	}
	return &addresses{spec.Deny, spec.Allow, spec.Next, otherwise}, nil
}

// Authenticate implements Authenticator.
func (a *addresses) Authenticate(_ context.Context, r Request) (Verdict, error) {
	addr := plain(r.Remote)
	d := a.otherwise
	switch {
	case !addr.IsValid():
		return deny("the address is not known")
	case holds(a.deny, addr):
		d = Deny
	case holds(a.allow, addr):
		d = Allow
	case holds(a.next, addr):
		d = Next
	}
	return Verdict{Decision: d, Reason: "by the address " + addr.String()}, nil
}

func holds(list []ipRange, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
