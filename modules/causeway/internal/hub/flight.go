package hub

import (
	"math/bits"
	"slices"
	"time"

	"github.com/Azure/go-amqp"
)

// batchFormat is the message format of IoT Hub's batches: every data section is
// one encoded message (EventsLinkHandler.cs).
const batchFormat = 0x80013700

// flight is one transfer: batches of some lanes, of each lane in its order. Its memory
// is reused.
type flight struct {
	batches []*batch
	lanes   laneSet
	bytes   int
	sent    time.Time

	receipt amqp.SendReceipt
}

// len is how many messages it carries.
func (f *flight) len() (messages int) {
	for _, b := range f.batches {
		messages += b.len()
	}
	return messages
}

// alone tells that it carries a batch that nothing else may travel with.
func (f *flight) alone() bool { return len(f.batches) == 1 && f.batches[0].alone }

// transfer returns the message to send; it stays valid while nothing of the flight is
// changed, until the next one. No two leave at once, so one memory does for all.
func (u *Uplink) transfer(f *flight) *amqp.Message {
	u.members = u.members[:0]
	for _, b := range f.batches {
		u.members = b.appendMembers(u.members)
	}
	u.wire = amqp.Message{Format: batchFormat, Data: u.members}
	return &u.wire
}

// next returns what may be sent now, noted as flying, or nil and for how long there is
// nothing to do unless the uplink is woken (0: until then).
func (u *Uplink) next(now time.Time) (*flight, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.resting || len(u.flying) >= u.opts.Window {
		return nil, 0
	}
	if wait := u.hold.Sub(now); wait > 0 {
		return nil, wait
	}
	candidates, held := u.candidates(now)
	if candidates == 0 {
		return nil, held
	}
	if wait := u.linger(candidates, now); wait > 0 {
		if held > 0 {
			wait = min(wait, held)
		}
		return nil, wait
	}
	u.freed = false
	f := u.gather(candidates)
	u.flying = append(u.flying, f)
	return f, 0
}

// candidates are the lanes that have something to send and nothing in flight. Held is
// when the first lane that is made to wait may go on; 0 for none.
func (u *Uplink) candidates(now time.Time) (set laneSet, held time.Duration) {
	for n := range (u.waiting &^ u.busy).from(0) {
		l := &u.lanes[n]
		if l.first(&u.disk) == nil {
			continue
		}
		if wait := l.hold.Sub(now); !u.held.has(n) {
			// nothing holds it back
		} else if wait <= 0 {
			u.held &^= 1 << n
		} else {
			if held == 0 || wait < held {
				held = wait
			}
			continue
		}
		set |= 1 << n
	}
	return set, held
}

// linger is how long to wait for company: not at all while nothing is in flight, when
// the window has just moved, or when there is a batch's worth.
func (u *Uplink) linger(candidates laneSet, now time.Time) time.Duration {
	if len(u.flying) == 0 || u.freed || u.loose >= u.worth() {
		return 0
	}
	oldest := now
	for n := range candidates.from(0) {
		b := u.lanes[n].first(&u.disk)
		if b != u.lanes[n].open {
			return 0
		}
		if b.began.Before(oldest) {
			oldest = b.began
		}
	}
	return u.opts.Linger - now.Sub(oldest)
}

// worth is how many bytes leave without lingering: a batch, or a quarter of one while few
// transfers are in flight, so that devices that wait for their acknowledgement do not wait for
// the transfer before theirs as well.
func (u *Uplink) worth() int {
	const few = 4
	if len(u.flying) < few {
		return u.opts.BatchBytes / few
	}
	return u.opts.BatchBytes
}

// gather takes a transfer from the candidates, each lane in its turn: a batch's worth.
// When there are windows for all of them, the first lane may fill its transfer further, since it
// has only this one. What does not fit any more is passed over, and is the first next time.
func (u *Uplink) gather(candidates laneSet) *flight {
	const nearly = 16 // what is left of a batch's worth is not worth looking for
	f, passed := u.takeFlight(), -1
	most := u.opts.BatchBytes
	if bits.OnesCount64(uint64(candidates)) <= u.opts.Window-len(u.flying) {
		most = max(most, min(stretch*most, transferLimit))
	}
	for n := range candidates.from(u.turn) {
		if f.lanes != 0 {
			most = u.opts.BatchBytes
		}
		if f.bytes > most-most/nearly || f.alone() {
			break
		}
		if !u.board(f, n, most) && passed < 0 {
			passed = n
		}
	}
	if passed >= 0 {
		u.turn = passed
	}
	return f
}

// board takes what fits of a lane; false when something is left that does not.
func (u *Uplink) board(f *flight, n, most int) bool {
	for b := u.lanes[n].first(&u.disk); b != nil && !f.alone(); b = u.lanes[n].first(&u.disk) {
		if f.bytes > 0 && (b.alone || f.bytes+len(b.bytes) > most) {
			return false
		}
		u.occupy(n)
		u.pop(n, b)
		f.batches, f.bytes = append(f.batches, b), f.bytes+len(b.bytes)
		f.lanes |= 1 << n
		u.turn = (n + 1) % lanes
	}
	return true
}

// landed takes a flight out of the air, wherever in it it is: dispositions come in
// order, so it is nearly always the first.
func (u *Uplink) landed(f *flight) {
	if i := slices.Index(u.flying, f); i >= 0 {
		u.flying = slices.Delete(u.flying, i, i+1)
	}
}

// accepted settles what the hub has stored.
func (u *Uplink) accepted(f *flight) { u.done(f, nil) }

// refused settles a flight of one message that the hub will never take.
func (u *Uplink) refused(f *flight, err error) { u.done(f, err) }

func (u *Uplink) done(f *flight, err error) {
	u.mu.Lock()
	u.landed(f) // first: whoever writes what is in flight to disk must not settle it too
	u.mu.Unlock()
	for _, b := range f.batches { // before room is made: whoever waits for room finds the window moved
		b.settle(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.vacate(f.lanes)
	acquitted := false
	for _, b := range f.batches {
		acquitted = acquitted || b.blames > 0
		u.forget(b)
		u.put(b)
	}
	u.putFlight(f)
	u.freed = true
	if err == nil {
		u.stored = time.Now()
		if acquitted {
			u.acquit()
		}
	}
	u.roomMade()
	u.signal()
}

// again puts a flight back to be sent, each batch first in its lane, and lets those
// lanes wait. With pace, nothing else is sent either before the pause is over.
func (u *Uplink) again(f *flight, pause time.Duration, pace bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.landed(f)
	until := time.Now().Add(pause)
	if pause > 0 {
		for n := range f.lanes.from(0) {
			u.lanes[n].hold = until
		}
		u.held |= f.lanes
	}
	if pace && until.After(u.hold) {
		u.hold = until
	}
	u.back(f)
	u.signal()
}

// isolate puts a refused flight back in parts, to find the message that the hub refuses:
// by lanes first, then by halves. Each part leaves alone.
func (u *Uplink) isolate(f *flight) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.landed(f)
	if len(f.batches) == 1 {
		other := u.take()
		f.batches[0].splitAt(f.batches[0].len()/2, other)
		f.batches = append(f.batches, other)
	}
	for _, b := range f.batches {
		b.alone, b.tries = true, 0
	}
	u.back(f)
	u.signal()
}

// back returns the batches of a flight to the front of their lanes.
func (u *Uplink) back(f *flight) {
	u.retried += uint64(f.len()) //nolint:gosec // a count
	u.vacate(f.lanes)
	for _, b := range slices.Backward(f.batches) {
		u.pushFront(b)
	}
	u.putFlight(f)
}

// recall puts everything in flight back: the connection that carried it is gone. What
// the hub stored without answering will come to it twice, under the same message ids.
func (u *Uplink) recall() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.flying {
		u.back(f)
	}
	clear(u.flying)
	u.flying = u.flying[:0]
	u.freed = true
	u.signal()
}

// rest stops sending until the next connection, and tells whether something is in flight.
func (u *Uplink) rest() (flying bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.resting = true
	return len(u.flying) > 0
}

// takeFlight returns an empty flight; putFlight gives one back.
func (u *Uplink) takeFlight() *flight {
	if n := len(u.freeFlights); n > 0 {
		f := u.freeFlights[n-1]
		u.freeFlights = u.freeFlights[:n-1]
		return f
	}
	return new(flight)
}

func (u *Uplink) putFlight(f *flight) {
	clear(f.batches)
	*f = flight{batches: f.batches[:0]}
	if len(u.freeFlights) < u.opts.Window {
		u.freeFlights = append(u.freeFlights, f)
	}
}
