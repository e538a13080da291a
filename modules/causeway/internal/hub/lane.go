package hub

import (
	"math/bits"
	"time"
)

// lanes is over how many lanes the devices are spread: twice the default window, so
// that it can be filled while some lanes wait, and as many as a word has bits.
const lanes = 64

// laneSet is a set of lanes, a bit for each.
type laneSet uint64

func (s laneSet) has(n int) bool { return s&(1<<n) != 0 }

// from lists the lanes of the set, beginning with lane first.
func (s laneSet) from(first int) func(yield func(n int) bool) {
	return func(yield func(int) bool) {
		for rest := bits.RotateLeft64(uint64(s), -first); rest != 0; rest &= rest - 1 {
			if !yield((first + bits.TrailingZeros64(rest)) % lanes) {
				return
			}
		}
	}
}

// laneOf is the lane of a device by its hash, the same in every life of the gateway,
// since a spool may hold what an earlier one wrote.
func laneOf(hash uint64) int {
	return int((hash ^ hash>>32) % lanes) //nolint:gosec // less than lanes
}

// lane is the way up of the devices that fall into it. At most one transfer with
// messages of a lane is in flight, so nothing of it can overtake what the hub
// refuses, whatever the hub does with other transfers meanwhile.
type lane struct {
	ready []*batch  // to be sent first, in order
	open  *batch    // being filled; nil when there is nothing
	bytes int       // of both
	hold  time.Time // nothing of it is sent before
}

func (l *lane) empty() bool { return len(l.ready) == 0 && l.open == nil }

// first is the batch that may leave next: what is ready, or what is open when that
// need not go by way of the disk. Under durability always, only what is on disk.
func (l *lane) first(d *spill) *batch {
	switch {
	case len(l.ready) > 0:
		if d.Always && !l.ready[0].safe {
			return nil
		}
		return l.ready[0]
	case d.spooling || d.Always:
		return nil
	default:
		return l.open
	}
}

// push queues a batch behind what is ready in its lane.
func (u *Uplink) push(b *batch) {
	l := &u.lanes[b.lane]
	l.ready = append(l.ready, b)
	u.grown(b.lane, len(b.bytes))
}

// pushFront queues it before everything else in its lane.
func (u *Uplink) pushFront(b *batch) {
	l := &u.lanes[b.lane]
	l.ready = append(l.ready, nil)
	copy(l.ready[1:], l.ready)
	l.ready[0] = b
	u.grown(b.lane, len(b.bytes))
}

// pop takes the batch that first has named.
func (u *Uplink) pop(number int, b *batch) {
	l := &u.lanes[number]
	if l.open == b {
		l.open = nil
	} else {
		n := copy(l.ready, l.ready[1:]) // some 70 at most by default
		l.ready[n] = nil
		l.ready = l.ready[:n]
	}
	u.grown(number, -len(b.bytes))
}

// grown notes that a lane has more bytes, or fewer.
func (u *Uplink) grown(number, bytes int) {
	l := &u.lanes[number]
	l.bytes += bytes
	if !u.busy.has(number) {
		u.loose += bytes
	}
	if l.empty() {
		u.waiting &^= 1 << number
	} else {
		u.waiting |= 1 << number
	}
}

// occupy and vacate note which lanes have something in flight.
func (u *Uplink) occupy(number int) {
	if !u.busy.has(number) {
		u.busy |= 1 << number
		u.loose -= u.lanes[number].bytes
	}
}

func (u *Uplink) vacate(set laneSet) {
	for n := range (set & u.busy).from(0) {
		u.loose += u.lanes[n].bytes
	}
	u.busy &^= set
}

// takeOpen takes all that is being filled, for the disk.
func (u *Uplink) takeOpen(list []*batch) []*batch {
	for n := range u.waiting.from(0) {
		if b := u.lanes[n].open; b != nil {
			u.lanes[n].open = nil
			u.grown(n, -len(b.bytes))
			list = append(list, b)
		}
	}
	return list
}

// takeReady takes the batches out of ready for which the condition holds, those of a
// lane in their order.
func (u *Uplink) takeReady(condition func(*batch) bool) (list []*batch) {
	for n := range u.waiting.from(0) {
		kept := u.lanes[n].ready[:0]
		taken := 0
		for _, b := range u.lanes[n].ready {
			if condition(b) {
				list, taken = append(list, b), taken+len(b.bytes)
			} else {
				kept = append(kept, b)
			}
		}
		clear(u.lanes[n].ready[len(kept):])
		u.lanes[n].ready = kept
		u.grown(n, -taken)
	}
	return list
}

// each calls f for every batch in flight or in a lane, in the order of its lane.
func (u *Uplink) each(f func(*batch)) {
	for _, transfer := range u.flying {
		for _, b := range transfer.batches {
			f(b)
		}
	}
	for n := range u.waiting.from(0) {
		for _, b := range u.lanes[n].ready {
			f(b)
		}
		if b := u.lanes[n].open; b != nil {
			f(b)
		}
	}
}
