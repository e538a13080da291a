package amqp

import (
	"fmt"
)

// Delivery is a message from a client.
type Delivery struct {
	Tag    []byte
	Format uint32
	// Presettled tells that the client wants no answer.
	Presettled bool
	// Data is the whole message as it was encoded. It belongs to the receiver of the
	// delivery.
	Data []byte

	link *Link
	id   uint32
	done bool
}

const (
	// maxSpare is how many deliveries' memory a link keeps: about as many as wait
	// while one is handled on a busy machine.
	maxSpare = 16
	// maxSpareBytes is the largest that is kept: some batches' worth.
	maxSpareBytes = 512 << 10
)

// Release gives Data back, which a later delivery of the link may use then: for receivers
// that keep nothing of it, where collecting so much would cost more than to look at it.
func (d *Delivery) Release() {
	l := d.link
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if cap(d.Data) > 0 && cap(d.Data) <= maxSpareBytes && len(l.spare) < maxSpare {
		l.spare = append(l.spare, d.Data[:0])
	}
	d.Data = nil
}

// memory is for a delivery of some bytes. What was too small for one is given up.
func (l *Link) memory(bytes int) []byte {
	if last := len(l.spare) - 1; last >= 0 {
		b := l.spare[last]
		l.spare = l.spare[:last]
		if cap(b) >= bytes {
			return b
		}
	}
	return make([]byte, 0, bytes)
}

// Settle answers the delivery with an outcome and gives its credit back. Only the
// first call counts; it is safe after the link has gone.
func (d *Delivery) Settle(outcome DeliveryState) {
	l := d.link
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.done {
		return
	}
	d.done = true
	l.outstanding--
	if !l.live || l.session.ended {
		return
	}
	if !d.Presettled {
		c.emit(l.session.channel, &Disposition{Receiver: true, First: d.id, Settled: true, State: outcome})
	}
	l.grant()
}

// grant tells the client of new credit when enough has gathered, and at the start.
func (l *Link) grant() {
	limit := l.terms.Credit
	threshold := max(1, min(100, limit*2/3))
	if limit < l.outstanding+l.credit+threshold {
		return
	}
	l.credit = limit - l.outstanding
	l.sayFlow()
}

// receive takes one transfer, under the lock.
func (l *Link) receive(t *Transfer) {
	if l.detached {
		return
	}
	d := l.partial
	if d == nil {
		if d = l.start(t); d == nil {
			return
		}
	} else if t.DeliveryID.Set && t.DeliveryID.Value != d.id {
		l.detach(&Error{Condition: CondNotAllowed, Description: fmt.Sprintf(
			"delivery %d began before delivery %d was complete", t.DeliveryID.Value, d.id)})
		return
	}
	c := l.session.conn
	d.Presettled = d.Presettled || t.Settled.Value
	d.Data = append(d.Data, t.Payload...)
	c.partial += len(t.Payload)
	if l.sizeLimit != 0 && uint64(len(d.Data)) > l.sizeLimit {
		l.detach(&Error{Condition: CondMessageSize, Description: fmt.Sprintf(
			"message of more than %d bytes", l.sizeLimit)})
		return
	}
	if t.More && !t.Aborted {
		return
	}
	l.partial = nil
	c.partial -= len(d.Data)
	if t.Aborted {
		l.outstanding--
		l.grant()
		return
	}
	c.queued += len(d.Data)
	l.queue = append(l.queue, d)
	l.ready.Signal()
}

// start begins a delivery, which costs a credit.
func (l *Link) start(t *Transfer) *Delivery {
	if l.credit == 0 {
		l.detach(&Error{Condition: CondTransferLimit, Description: fmt.Sprintf(
			"transfer beyond a credit of %d", l.terms.Credit)})
		return nil
	}
	if !t.DeliveryID.Set {
		l.detach(&Error{Condition: CondInvalidField, Description: "first transfer without a delivery-id"})
		return nil
	}
	l.credit--
	l.count++
	l.outstanding++
	d := &Delivery{Tag: t.Tag, Format: t.Format.Value, link: l, id: t.DeliveryID.Value}
	room := len(t.Payload)
	if t.More {
		room *= 4
	}
	d.Data = l.memory(room)
	l.partial = d
	return d
}

// work handles the link's deliveries one at a time. It ends when the link is dead
// and its queue empty, or the connection cut.
func (l *Link) work() {
	for {
		d := l.nextDelivery()
		if d == nil {
			return
		}
		n := len(d.Data)
		l.terms.Deliver(l.ctx, d)
		l.release(n)
	}
}

func (l *Link) nextDelivery() *Delivery {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(l.queue) == 0 && l.live {
		l.ready.Wait()
	}
	if len(l.queue) == 0 || l.ctx.Err() != nil {
		return nil
	}
	d := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return d
}

func (l *Link) release(n int) {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued -= n
	c.room.Broadcast()
}
