package hub

import (
	"fmt"
	"time"
)

// Over MQTT the hub has no word for no: a message that it cannot store ends the connection,
// and would end each one to come. Which message it was shows by the order, since a client's
// publishes are handled one by one; that it was the message, and not the hub or the network,
// shows only when the others are stored and it alone is not. An outage looks otherwise:
// nothing is stored, connections end over any message or over none, or what one has ended over
// is stored in the end.
const (
	// blamedMost is at how many ends of a connection in a row a message has to stand, with
	// others stored between each two, before it is taken for their cause.
	blamedMost = 5
	// blamedPause is how long its lane waits on the next connection, while others go first; twice as
	// long after each end more, and at most blamedPauseMost.
	blamedPause     = 100 * time.Millisecond
	blamedPauseMost = time.Minute
)

// errBlamed is why such a message is refused.
var errBlamed = fmt.Errorf(
	"the edge hub ended the connection %d times over this message and stored others in between", blamedMost)

// blame notes that a connection has ended by itself over a message, which is given by its
// flight and its number there; a nil flight means that nothing was on its way. The next time
// the message leaves in a flight of its own. It comes before recall.
func (u *Uplink) blame(f *flight, number int) {
	u.mu.Lock()
	var blamed *batch
	if f != nil {
		blamed = u.separate(f, number)
	}
	if blamed == nil || blamed.faults == 0 { // connections end over this and that
		u.acquit()
	}
	if blamed != nil {
		u.charge(blamed, time.Now())
	}
	guilty := blamed != nil && blamed.faults >= blamedMost && f.len() == 1
	u.mu.Unlock()
	if guilty {
		r := refusal(blamed, errBlamed)
		u.opts.Refused(r)
		u.refused(f, r)
	}
}

// acquit begins every count anew: it has shown that the messages need not be the cause.
func (u *Uplink) acquit() { u.each(func(b *batch) { b.faults = min(b.faults, 1) }) }

// separate parts a flight's batches so that one of its messages stands alone.
func (u *Uplink) separate(f *flight, number int) *batch {
	for i, b := range f.batches {
		if number >= b.len() {
			number -= b.len()
			continue
		}
		parts := []*batch{b}
		for _, at := range [...]int{number + 1, number} {
			if at > 0 && at < b.len() {
				other := u.take()
				b.splitAt(at, other)
				parts = append([]*batch{b, other}, parts[1:]...)
			}
		}
		f.batches = append(f.batches[:i:i], append(parts, f.batches[i+1:]...)...)
		if number > 0 {
			b = parts[1]
		}
		b.alone = true
		return b
	}
	return nil // never: the number is that of a message in the flight
}

// charge counts an end of the connection against a message, when the hub has stored others
// since the last.
func (u *Uplink) charge(b *batch, now time.Time) {
	if b.blames++; b.faults == 0 || u.stored.After(b.faulted) {
		b.faults++
	}
	b.faulted = now
}

// holdBlamed lets the others go first on a connection that now stands.
func (u *Uplink) holdBlamed(now time.Time) {
	u.each(func(b *batch) {
		if b.blames > 0 {
			u.lanes[b.lane].hold = now.Add(min(blamedPause<<min(b.blames-1, 10), blamedPauseMost))
			u.held |= 1 << b.lane
		}
	})
}
