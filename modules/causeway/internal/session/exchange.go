package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// exchangesKept bounds the memory that a session keeps for its next
// acknowledgements; more are made when a device sends without waiting.
const exchangesKept = 16

// exchange is one acknowledgement that waits for its messages.
type exchange struct {
	acks     *acknowledgements
	left     int // messages not settled, and a guard while they are handed over
	failure  error
	ack, nak []byte
	at       time.Time
	next     *exchange
}

// acknowledgements is the queue of a session's exchanges, in the order of the
// frames. It is itself the receipt of messages that nobody waits for.
type acknowledgements struct {
	link    Link
	profile *Profile

	mu         sync.Mutex
	head, tail *exchange
	free       *exchange
	kept       int
	empty      chan struct{} // closed when the queue is empty; nil when nobody waits
}

// take returns an unused exchange.
func (a *acknowledgements) take() *exchange {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.free
	if e == nil {
		return &exchange{acks: a}
	}
	a.free, a.kept = e.next, a.kept-1
	e.next = nil
	return e
}

// push queues an exchange that waits for so many settlements.
func (a *acknowledgements) push(e *exchange, left int, at time.Time) {
	e.left, e.at, e.failure = left, at, nil
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tail == nil {
		a.head = e
	} else {
		a.tail.next = e
	}
	a.tail = e
}

// none tells whether nothing waits.
func (a *acknowledgements) none() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.head == nil
}

// Settled implements message.Receipt for one message of the exchange.
func (e *exchange) Settled(err error) {
	a := e.acks
	a.report(err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && e.failure == nil {
		e.failure = err
	}
	if e.left--; e.left == 0 {
		a.release()
	}
}

// Settled implements message.Receipt for a message without an acknowledgement.
func (a *acknowledgements) Settled(err error) { a.report(err) }

// report tells of a refusal that the uplink brings, once.
func (a *acknowledgements) report(err error) {
	var known *handled
	if err == nil || errors.As(err, &known) || errors.Is(err, message.ErrClosed) {
		return
	}
	a.profile.Observer.Fault(Fault{Kind: FaultRefused, Link: a.link, Err: err})
}

// release writes what is complete at the head of the queue.
func (a *acknowledgements) release() {
	for a.head != nil && a.head.left == 0 {
		e := a.head
		if a.head = e.next; a.head == nil {
			a.tail = nil
		}
		a.answer(e)
		e.next = nil
		if a.kept < exchangesKept {
			e.next, a.free = a.free, e
			a.kept++
		}
	}
	if a.head == nil && a.empty != nil {
		close(a.empty)
		a.empty = nil
	}
}

// answer writes the acknowledgement, or the refusal when a message was refused for
// good. Silence is the answer to everything else: the device sends again.
func (a *acknowledgements) answer(e *exchange) {
	b := e.ack
	if e.failure != nil {
		if b = e.nak; !errors.Is(e.failure, message.ErrRefused) {
			b = nil
		}
	}
	if len(b) == 0 {
		return
	}
	if err := a.link.Send(b); err != nil {
		a.profile.Observer.Fault(Fault{Kind: FaultSend, Link: a.link, Err: err})
		return
	}
	a.profile.Observer.Acknowledged(time.Since(e.at), e.failure == nil)
}

// wait returns when the queue is empty, or ctx ends.
func (a *acknowledgements) wait(ctx context.Context) {
	a.mu.Lock()
	if a.head == nil {
		a.mu.Unlock()
		return
	}
	if a.empty == nil {
		a.empty = make(chan struct{})
	}
	empty := a.empty
	a.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}
