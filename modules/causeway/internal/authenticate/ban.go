package authenticate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ErrBan says that a ban cannot be as it is given, or is not there.
var ErrBan = errors.New("bad ban")

const (
	// maxBans bounds the bans of each origin: they are people's, and are listed whole.
	maxBans = 4096
	// FromTwin and FromMethod are the origins of bans.
	FromTwin   = "twin"
	FromMethod = "method"
)

// Ban keeps a device, or all devices of a range of addresses, out.
type Ban struct {
	// Device is a device's id, Range a range of addresses: exactly one.
	Device string
	Range  netip.Prefix
	// Until is when it ends; zero is never.
	Until time.Time
	// Reason is for people.
	Reason string
	// Origin is FromTwin or FromMethod.
	Origin string
}

// Target is what is banned, as text: the id or the range.
func (b *Ban) Target() string {
	if b.Device != "" {
		return b.Device
	}
	return b.Range.String()
}

func (b *Ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// check brings a ban into its one form; the error is ErrBan.
func (b *Ban) check() error {
	switch {
	case (b.Device != "") == b.Range.IsValid():
		return fmt.Errorf("%w: want exactly one of a device and a range of addresses", ErrBan)
	case b.Range.Addr().Is4In6():
		return fmt.Errorf("%w: want the range %s in its IPv4 form", ErrBan, b.Range)
	case len(b.Device) > maxDevice || !clean(b.Device):
		return fmt.Errorf("%w: the id %q is not up to %d bytes of printable text", ErrBan, short(b.Device), maxDevice)
	case len(b.Reason) > maxNote || !clean(b.Reason):
		return fmt.Errorf("%w: the reason is not up to %d bytes of printable text", ErrBan, maxNote)
	}
	if b.Range.IsValid() {
		b.Range = b.Range.Masked()
	}
	return nil
}

// BanStore keeps the bans of methods through a restart.
type BanStore interface {
	// Save keeps a ban, in the place of an earlier one of its target.
	Save(b Ban) error
	// Delete forgets the ban of a target, which need not be there.
	Delete(b Ban) error
}

// bans is one origin's. A running ban leaves it only when it is lifted.
type bans struct {
	devices map[string]Ban
	ranges  map[netip.Prefix]Ban
}

func newBans() *bans {
	return &bans{devices: make(map[string]Ban), ranges: make(map[netip.Prefix]Ban)}
}

func (l *bans) len() int { return len(l.devices) + len(l.ranges) }

func (l *bans) get(b Ban) (Ban, bool) {
	if b.Device != "" {
		old, ok := l.devices[b.Device]
		return old, ok
	}
	old, ok := l.ranges[b.Range]
	return old, ok
}

func (l *bans) put(b Ban) {
	if b.Device != "" {
		l.devices[b.Device] = b
	} else {
		l.ranges[b.Range] = b
	}
}

func (l *bans) remove(b Ban) {
	delete(l.devices, b.Device)
	delete(l.ranges, b.Range)
}

// find returns the ban that lasts longest of those that meet a device now.
func (l *bans) find(remote netip.Addr, device string, now time.Time) (found Ban, ok bool) {
	longer := func(b Ban) {
		if !b.over(now) && (!ok || !found.Until.IsZero() && (b.Until.IsZero() || b.Until.After(found.Until))) {
			found, ok = b, true
		}
	}
	if b, is := l.devices[device]; is && device != "" {
		longer(b)
	}
	if len(l.ranges) == 0 || !remote.IsValid() {
		return found, ok
	}
	for bits := range remote.BitLen() + 1 { // a look for each length, however many ranges
		p, err := remote.Prefix(bits)
		if err != nil {
			break
		}
		if b, is := l.ranges[p]; is {
			longer(b)
		}
	}
	return found, ok
}

// all returns the bans, with those that are over.
func (l *bans) all() []Ban {
	return slices.Concat(slices.Collect(maps.Values(l.devices)), slices.Collect(maps.Values(l.ranges)))
}

func sortBans(list []Ban) {
	slices.SortFunc(list, func(a, b Ban) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), strings.Compare(a.Device, b.Device),
			a.Range.Compare(b.Range))
	})
}
