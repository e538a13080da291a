package authenticate

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// guardEntries bounds each of a guard's tables: together some 26 MiB when somebody
	// fills them with the longest ids.
	guardEntries = 16384
	// goodEntries is how many times as many pairs are remembered that succeeded: these
	// are real devices, and mobile ones have many addresses.
	goodEntries = 2
	// maxCooling bounds what Cooling lists.
	maxCooling = 1000
)

// GuardOptions are what a Guard is made of. Zero values are the defaults.
type GuardOptions struct {
	// Pair is for one device at one address: 5 failures within 10 minutes are a
	// cool-down of 30 seconds, which grows to an hour and is remembered for a day.
	Pair CoolDown
	// Address is for all devices at one address that never succeeded there: 50 failures
	// within 10 minutes are one minute, which grows to an hour. Mobile networks have
	// many devices behind one address, some of them with a wrong password.
	Address CoolDown
	// Device is for one device at all addresses where it never succeeded: 20 failures
	// within 10 minutes are 30 seconds, which grows to 10 minutes and not more: its real
	// owner may be at a new address.
	Device CoolDown
	// Entries bounds each table. Zero is 16,384.
	Entries int
	// Store keeps the bans of methods; nil for none.
	Store BanStore
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Guard keeps out whoever fails too often, and whoever is banned. It is asked before a
// device is authenticated, and hears what came of it. It is safe for concurrent use, and
// waits for nothing but its lock; Ban and Unban wait for the store, outside of that lock.
//
// Failures are counted for the pair of address and device, for the address and for the
// device. Everybody can claim any id, so failures of a device must not keep the device
// itself out: where it has succeeded lately, only failures of that pair do. IPv6
// addresses count by their /64, which is what one line is given.
//
// The source of a datagram can be forged. A failure from an address that is not proven,
// FailedUnproven, is counted and cools nobody down, neither address nor device: a few
// forged datagrams would otherwise keep a device out for an hour. What bounds guesses
// there are the workers and the strength of the secrets.
type Guard struct {
	with GuardOptions

	mu        sync.Mutex
	pairs     *watch[pair]
	addresses *watch[netip.Addr]
	devices   *watch[string]
	good      *simplelru.LRU[pair, struct{}]
	byTwin    *bans
	byMethod  *bans
	unproven  uint64

	storing sync.Mutex // one change of the bans of methods at a time
}

// pair is a device at an address.
type pair struct {
	address netip.Addr
	device  string
}

// NewGuard makes a guard with the bans that a store had kept.
func NewGuard(o GuardOptions, kept []Ban) *Guard {
	fallback := func(c *CoolDown, d CoolDown) {
		if *c == (CoolDown{}) {
			*c = d
		}
	}
	const day = 24 * time.Hour
	fallback(&o.Pair, CoolDown{5, 10 * time.Minute, 30 * time.Second, time.Hour, day})
	fallback(&o.Address, CoolDown{50, 10 * time.Minute, time.Minute, time.Hour, day})
	fallback(&o.Device, CoolDown{20, 10 * time.Minute, 30 * time.Second, 10 * time.Minute, day})
	if o.Entries <= 0 {
		o.Entries = guardEntries
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Guard{
		with: o, byTwin: newBans(), byMethod: newBans(),
		pairs:     newWatch[pair](o.Pair, o.Entries),
		addresses: newWatch[netip.Addr](o.Address, o.Entries),
		devices:   newWatch[string](o.Device, o.Entries),
	}
	g.good, _ = simplelru.NewLRU[pair, struct{}](goodEntries*o.Entries, nil) // fails for sizes below 1 only
	for _, b := range kept {
		if b.check() == nil { // one that is over too: it is swept with its place in the store
			b.Origin = FromMethod
			g.byMethod.put(b)
		}
	}
	return g
}

// line is the address that failures are counted by.
func line(remote netip.Addr) netip.Addr {
	remote = plain(remote)
	const lineBits = 64
	if !remote.Is6() {
		return remote
	}
	p, err := remote.Prefix(lineBits)
	if err != nil {
		return remote
	}
	return p.Addr()
}

// Check tells whether a device may try now. If not, the reason is for operators, and
// until when it holds, zero for ever. A device that has succeeded at the address lately
// may try once in a while although it cools down there: the failures may be those of
// somebody behind the same address, and would keep it out for an hour. Asking changes
// nothing else.
func (g *Guard) Check(remote netip.Addr, device string) (ok bool, reason string, until time.Time) {
	now := g.with.Now()
	device = bounded(device)
	address := line(remote)
	p := pair{address, device}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, list := range [...]*bans{g.byTwin, g.byMethod} {
		if b, is := list.find(plain(remote), device, now); is {
			return false, banned(b), b.Until
		}
	}
	if until := g.pairs.check(p, now); !until.IsZero() {
		if g.good.Contains(p) && g.pairs.trial(p, now) {
			return true, "", time.Time{}
		}
		return false, "too many failures of this device at this address", until
	}
	if g.good.Contains(p) {
		return true, "", time.Time{}
	}
	if until := g.addresses.check(address, now); !until.IsZero() {
		return false, "too many failures at this address", until
	}
	if until := g.devices.check(device, now); !until.IsZero() {
		return false, "too many failures of this device", until
	}
	return true, "", time.Time{}
}

func banned(b Ban) string {
	if b.Reason == "" {
		return "banned"
	}
	return "banned: " + b.Reason
}

// bounded keeps what a device says its id is from taking memory.
func bounded(device string) string { return device[:min(len(device), maxDevice)] }

// Failed counts the failure of a device whose address is proven: one that completed a
// handshake of TCP, TLS or DTLS. It returns until when the device may not try now, zero
// where it may. A verdict that is Unavailable is no failure.
func (g *Guard) Failed(remote netip.Addr, device string) (until time.Time) {
	now := g.with.Now()
	p := pair{line(remote), bounded(device)}
	g.mu.Lock()
	defer g.mu.Unlock()
	byAddress := g.addresses.failed(p.address, now)
	if device == "" { // it did not come to say who it is
		return byAddress
	}
	until, byDevice := g.pairs.failed(p, now), g.devices.failed(p.device, now)
	if g.good.Contains(p) {
		return until
	}
	return later(until, later(byAddress, byDevice))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// FailedUnproven counts the failure of a datagram. It keeps nobody out.
func (g *Guard) FailedUnproven() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unproven++
}

// Succeeded forgets the failures of a device at an address, and remembers that it is
// known there. Those of the address stay: whoever has one good device could reset them
// between guesses at others. Those of the device stay too, for other addresses.
func (g *Guard) Succeeded(remote netip.Addr, device string) {
	p := pair{line(remote), bounded(device)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pairs.forget(p)
	g.good.Add(p, struct{}{})
}

// Forgive ends the cool-downs of a device, or of an address; what is empty is left out.
// It tells whether there was anything to end. Cool-downs of a pair end with either.
func (g *Guard) Forgive(remote netip.Addr, device string) (found bool) {
	address := line(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	if device != "" {
		found = g.devices.forget(device)
	}
	if remote.IsValid() {
		found = g.addresses.forget(address) || found
	}
	for p := range g.pairs.entries { // people's doing, some milliseconds
		if device != "" && p.device == device || remote.IsValid() && p.address == address {
			found = g.pairs.forget(p) || found
		}
	}
	return found
}

// Cooling is a cool-down that runs. One of a pair has both fields.
type Cooling struct {
	Device  string
	Address netip.Addr
	Until   time.Time
}

// Cooling returns some cool-downs that run, at most limit and at most 1000 of them.
func (g *Guard) Cooling(limit int) []Cooling {
	now := g.with.Now()
	limit = min(max(limit, 0), maxCooling)
	var list []Cooling
	g.mu.Lock()
	defer g.mu.Unlock()
	add := func(c Cooling) {
		if len(list) < limit && now.Before(c.Until) {
			list = append(list, c)
		}
	}
	for _, e := range g.addresses.cooling {
		add(Cooling{Address: e.key, Until: e.until})
	}
	for _, e := range g.devices.cooling {
		add(Cooling{Device: e.key, Until: e.until})
	}
	for _, e := range g.pairs.cooling {
		add(Cooling{Device: e.key.device, Address: e.key.address, Until: e.until})
	}
	return list
}

// GuardStats is a look at a guard.
type GuardStats struct {
	// Pairs, Addresses and Devices are those cooling down, Bans those that run.
	Pairs, Addresses, Devices, Bans int
	// Unproven are failures of datagrams, Untracked those that a full table could not
	// count.
	Unproven, Untracked uint64
}

// Stats counts.
func (g *Guard) Stats() GuardStats {
	now := g.with.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pairs.thaw(now)
	g.addresses.thaw(now)
	g.devices.thaw(now)
	return GuardStats{
		Pairs: len(g.pairs.cooling), Addresses: len(g.addresses.cooling), Devices: len(g.devices.cooling),
		Bans: len(g.running(now)), Unproven: g.unproven,
		Untracked: g.pairs.untracked + g.addresses.untracked + g.devices.untracked,
	}
}
