package lifecycle

import "time"

// devicesKept bounds the devices whose rate is remembered: as many as may tell something
// within the minute that an allowance takes to be whole again, at the rates that make
// sense. With more of them some devices may tell more; the rate of all together holds.
const devicesKept = 4096

// Settings say what is told, and how much of it.
type Settings struct {
	// Kinds are those that are told.
	Kinds map[Kind]bool
	// PerSecond is how many events are sent in a second, and Burst how many after a quiet
	// time, of all devices together.
	PerSecond, Burst int
	// DevicePerMinute and DeviceBurst are the same of one device, by the minute.
	DevicePerMinute, DeviceBurst int
}

// bucket is a token bucket.
type bucket struct {
	tokens float64
	at     time.Time
}

// rate is what a bucket gains in a second, and what it holds.
type rate struct{ perSecond, burst float64 }

// fill brings a bucket up to date.
func (b *bucket) fill(r rate, now time.Time) {
	b.tokens = min(r.burst, b.tokens+r.perSecond*max(now.Sub(b.at).Seconds(), 0))
	b.at = now
}

// limits are the rates, of all events and of those of each device.
type limits struct {
	all, device rate
	total       bucket
	devices     map[string]*bucket
}

// configure begins with full buckets where the rates are new.
func (l *limits) configure(s Settings) {
	const minute = 60
	all := rate{float64(s.PerSecond), float64(s.Burst)}
	device := rate{float64(s.DevicePerMinute) / minute, float64(s.DeviceBurst)}
	if l.devices != nil && all == l.all && device == l.device {
		return
	}
	l.all, l.device = all, device
	l.total = bucket{l.all.burst, time.Now()}
	l.devices = make(map[string]*bucket)
}

// allow takes a token of both buckets, or none. The one of all is looked at first: only
// what it lets through makes a bucket of a device's own.
func (l *limits) allow(device string, now time.Time) bool {
	l.total.fill(l.all, now)
	if l.total.tokens < 1 {
		return false
	}
	b := l.devices[device]
	if b == nil {
		b = &bucket{l.device.burst, now}
		l.room(now)
		l.devices[device] = b
	}
	b.fill(l.device, now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	l.total.tokens--
	return true
}

// room forgets devices that have been quiet, or all when none has.
func (l *limits) room(now time.Time) {
	if len(l.devices) < devicesKept {
		return
	}
	for device, b := range l.devices {
		if b.fill(l.device, now); b.tokens >= l.device.burst {
			delete(l.devices, device)
		}
	}
	if len(l.devices) >= devicesKept {
		clear(l.devices)
	}
}
