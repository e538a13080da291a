package hub

import (
	"slices"
	"time"
)

// next returns the batch that may be sent now, moved to flying, or nil and for
// how long there is nothing to do unless the uplink is woken (0: until then).
func (u *Uplink) next(now time.Time) (*batch, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.flying) >= u.opts.Window {
		return nil, 0
	}
	if wait := u.hold.Sub(now); wait > 0 {
		return nil, wait
	}
	if u.mustWait() {
		return nil, 0
	}
	if len(u.ready) > 0 {
		b := u.ready[0]
		if u.disk.Always && !b.safe {
			return nil, 0 // the disk comes first
		}
		u.ready = slices.Delete(u.ready, 0, 1) // keeps its memory; some 70 batches at most by default
		u.flying = append(u.flying, b)
		return b, 0
	}
	b := u.open
	if b.len() == 0 || u.disk.spooling || u.disk.Always { // by way of the disk
		return nil, 0
	}
	full := len(b.bytes) >= u.opts.BatchBytes
	if wait := u.opts.Linger - now.Sub(b.began); len(u.flying) > 0 && !u.freed && !full && wait > 0 {
		return nil, wait
	}
	u.freed = false
	u.open = u.take()
	u.flying = append(u.flying, b)
	return b, 0
}

// landed takes a batch out of flight, wherever in it the batch is: dispositions
// come in order, so it is nearly always the first.
func (u *Uplink) landed(b *batch) {
	for i := range u.flying {
		if u.flying[i] == b {
			u.flying = slices.Delete(u.flying, i, i+1)
			return
		}
	}
}

// accepted settles a batch that the hub has stored.
func (u *Uplink) accepted(b *batch) { u.done(b, nil) }

// refused settles a batch of one message that the hub will never take.
func (u *Uplink) refused(b *batch, err error) { u.done(b, err) }

func (u *Uplink) done(b *batch, err error) {
	u.mu.Lock()
	u.landed(b) // first: whoever writes what is in flight to disk must not settle it too
	u.mu.Unlock()
	b.settle(err) // before room is made: whoever waits for room finds the window moved
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(b)
	u.freed = true
	u.put(b)
	u.roomMade()
	u.signal()
}

// again puts a batch back to be sent, in its place among the others, not before
// the pause is over.
func (u *Uplink) again(b *batch, pause time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.landed(b)
	u.beCareful(b)
	u.enqueue(b)
	if until := time.Now().Add(pause); until.After(u.hold) {
		u.hold = until
	}
	u.signal()
}

// halve puts a refused batch back as two, to find the message that the hub
// refuses.
func (u *Uplink) halve(b *batch) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.landed(b)
	u.beCareful(b)
	other := u.take()
	b.splitAt(b.len()/2, other)
	b.tries = 0
	u.enqueue(b)
	u.enqueue(other)
	u.signal()
}

// beCareful has the messages of a refused batch sent again one batch at a time:
// with the next one in flight already, its own messages would overtake those that
// are refused once more.
func (u *Uplink) beCareful(b *batch) {
	u.careful = max(u.careful, b.order+uint64(b.len())) //nolint:gosec // a count
}

// mustWait tells whether the next batch has to wait for the one in flight: when
// something refused is on its way again, and when what is sent is on disk. Devices
// are acknowledged from there, so they may have messages in one batch after another;
// with two in flight, a hub that refuses the first and takes the second would break
// their order.
func (u *Uplink) mustWait() bool {
	if u.careful > 0 && len(u.flying) == 0 && (len(u.ready) == 0 || u.ready[0].order >= u.careful) {
		u.careful = 0
	}
	return len(u.flying) > 0 && (u.careful > 0 || u.disk.spooling || u.disk.safe > 0)
}

// enqueue inserts by the order in which the messages were taken.
func (u *Uplink) enqueue(b *batch) {
	at := len(u.ready)
	for i, other := range u.ready {
		if other.order > b.order {
			at = i
			break
		}
	}
	u.ready = slices.Insert(u.ready, at, b)
}

// recall moves everything in flight back to be sent first, in order: the
// connection that carried it is gone. What the hub stored without answering will
// come to it twice, under the same message ids.
func (u *Uplink) recall() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range u.flying {
		u.enqueue(b)
	}
	clear(u.flying)
	u.flying = u.flying[:0]
	u.freed = true
	u.signal()
}
