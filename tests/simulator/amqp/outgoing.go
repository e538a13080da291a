package amqp

import (
	"errors"
	"fmt"
)

var (
	// ErrGone says that the link or its connection has ended.
	ErrGone = errors.New("link is gone")
	// ErrFull says that the client takes messages more slowly than they are made.
	ErrFull = errors.New("too many messages wait for the client")
	// ErrTooLarge says that the client does not take messages of that size.
	ErrTooLarge = errors.New("message is larger than the client takes")
)

const (
	// maxWaiting bounds the messages of one link that wait for credit.
	maxWaiting = 1024
	// maxUnsettled bounds those that the client has neither settled nor lost.
	maxUnsettled = 8192
)

// Outgoing is a message for a receiving client.
type Outgoing struct {
	// Tag names the delivery, at most 32 bytes; a counter is taken if it is nil.
	Tag    []byte
	Format uint32
	// Data is the whole message, encoded; it must not change any more.
	Data []byte
	// Settled, if not nil, is called once, away from all locks: with the outcome, or
	// with nil when the link went away first or the client settled without one. It is
	// called at once on links whose sender settles.
	Settled func(outcome DeliveryState)

	link *Link
	id   uint32
	sent int
	open bool // the first transfer has been sent
}

// Send queues a message; it goes when the client has given credit. On an error
// Settled is not called. It never blocks.
func (l *Link) Send(o *Outgoing) error {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	// A link that is being attached may be sent to, it is not live yet.
	case l.detached, c.isClosing, l.session.ended:
		return ErrGone
	case len(l.waiting) >= maxWaiting:
		return fmt.Errorf("send on link %s: %w", l.Name, ErrFull)
	case l.sizeLimit != 0 && uint64(len(o.Data)) > l.sizeLimit:
		return fmt.Errorf("send %d bytes on link %s: %w", len(o.Data), l.Name, ErrTooLarge)
	}
	o.link = l
	l.waiting = append(l.waiting, o)
	if l.live {
		l.pump()
	}
	return nil
}

// pump sends what credit, window and buffer allow, under the lock.
func (l *Link) pump() {
	s := l.session
	c := s.conn
	for len(l.waiting) > 0 && l.live {
		o := l.waiting[0]
		if !o.open && l.credit == 0 {
			break
		}
		if !o.open && l.unsettled >= maxUnsettled || s.outWindow == 0 {
			return
		}
		if len(c.out) > maxOut {
			c.stalled = true
			return
		}
		if l.transfer(o) {
			l.waiting[0] = nil
			l.waiting = l.waiting[1:]
		}
	}
	if l.drain && l.live {
		l.count += l.credit
		l.credit = 0
		l.sayFlow()
		l.drain = false
	}
}

// transferHead is more than our transfer performative and the frame's own header
// take, with a tag of 32 bytes.
const transferHead = 80

// transfer sends one frame of a message and returns true if it was the last.
func (l *Link) transfer(o *Outgoing) bool {
	s := l.session
	t := &Transfer{Handle: l.handle}
	settled := l.terms.SenderMode == SenderSettled
	if !o.open {
		o.open = true
		o.id = s.delivery
		s.delivery++
		l.credit--
		l.count++
		if o.Tag == nil {
			o.Tag = []byte{byte(o.id >> 24), byte(o.id >> 16), byte(o.id >> 8), byte(o.id)}
		}
		t.DeliveryID, t.Tag, t.Format, t.Settled = Some(o.id), o.Tag, Some(o.Format), Some(settled)
		if !settled {
			s.sent[o.id] = o
			l.unsettled++
		}
	}
	room := s.conn.maxPayload - transferHead
	t.Payload = o.Data[o.sent:min(len(o.Data), o.sent+room)]
	o.sent += len(t.Payload)
	t.More = o.sent < len(o.Data)
	s.conn.emit(s.channel, t)
	s.outgoing++
	s.outWindow--
	if !t.More && settled {
		s.conn.tell(o, nil)
	}
	return !t.More
}

// tell has a message's outcome told away from the lock.
func (c *Conn) tell(o *Outgoing, outcome DeliveryState) {
	if o.Settled != nil {
		c.post(func() { o.tell(outcome) })
	}
}

func (o *Outgoing) tell(outcome DeliveryState) {
	if o.Settled != nil {
		o.Settled(outcome)
	}
}
