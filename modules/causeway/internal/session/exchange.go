package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// exchangesWaiting bounds the acknowledgements that wait for the hub. With a hub
// that answers after 20 ms it lets one device send 100,000 frames a second; with
// one that is away, a device that goes on sending what needs no hub (keep-alives)
// costs some 400 KiB.
const exchangesWaiting = 2048

// ErrOwed tells that too many of the link's acknowledgements wait for the
// hub.
var ErrOwed = fmt.Errorf("%d acknowledgements wait for the hub: %w", exchangesWaiting, message.ErrFull)

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
	waiting    int           // from head to tail
	empty      chan struct{} // closed when the queue is empty; nil when nobody waits
	roomy      chan struct{} // closed when half of the queue is free; nil when nobody waits
	last       string        // why the link is to be closed once the queue is empty
}

// take returns an unused exchange. All sessions of a listener share a pool of them:
// a device that streams has some thousand outstanding, and most have none.
func (a *acknowledgements) take() *exchange {
	e, _ := a.profile.exchanges.Get().(*exchange)
	if e == nil {
		e = new(exchange)
	}
	e.acks, e.next = a, nil
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
	a.waiting++
}

// expect adds messages to those that the exchange waits for, while its guard holds
// it open.
func (e *exchange) expect(more int) {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	e.left += more
}

// room waits until another exchange may be queued. It fails with ErrOwed
// instead of waiting for the hasty, and with ctx's error.
func (a *acknowledgements) room(ctx context.Context, hasty bool) error {
	a.mu.Lock()
	if a.waiting < exchangesWaiting {
		a.mu.Unlock()
		return nil
	}
	if hasty {
		a.mu.Unlock()
		return ErrOwed
	}
	if a.roomy == nil {
		a.roomy = make(chan struct{})
	}
	roomy := a.roomy
	a.mu.Unlock()
	select {
	case <-roomy:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// none tells whether nothing waits.
func (a *acknowledgements) none() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.head == nil
}

// Settled implements message.Receipt for one message of the exchange.
func (e *exchange) Settled(err error) { e.SettledTimes(1, err) }

// SettledTimes implements message.Counter. What was not taken because the link or the gateway
// ends is not lost: the device was not told that it is safe.
func (e *exchange) SettledTimes(n int, err error) {
	a := e.acks
	if !stopped(err) || errors.Is(err, message.ErrRefused) {
		a.SettledTimes(n, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// One message that may still be stored later makes the whole silent: a refusal
	// would tell the device that it need not send again.
	if err != nil && (e.failure == nil || errors.Is(e.failure, message.ErrRefused)) {
		e.failure = err
	}
	if e.left -= n; e.left == 0 {
		a.release()
	}
}

// Settled implements message.Receipt for a message without an acknowledgement.
func (a *acknowledgements) Settled(err error) { a.report(err) }

// SettledTimes implements message.Counter.
func (a *acknowledgements) SettledTimes(n int, err error) {
	if err == nil {
		return
	}
	for range n {
		a.report(err)
	}
}

// report tells of a refusal that the uplink brings, once.
func (a *acknowledgements) report(err error) {
	if err == nil || errors.Is(err, message.ErrClosed) {
		return
	}
	if _, known := errors.AsType[*handled](err); known {
		return
	}
	f := Fault{Kind: FaultRefused, Link: a.link, Err: err}
	if r, ok := errors.AsType[*message.Refused](err); ok {
		f.Device, f.Message = r.Message.Device, r.Message
	} else if stopped(err) { // an uplink of several took others of those that were handed over
		f.Kind = FaultDropped
	}
	a.profile.Observer.Fault(f)
}

// release writes what is complete at the head of the queue.
func (a *acknowledgements) release() {
	for a.head != nil && a.head.left == 0 {
		e := a.head
		if a.head = e.next; a.head == nil {
			a.tail = nil
		}
		a.waiting--
		a.answer(e)
		e.acks, e.next = nil, nil
		a.profile.exchanges.Put(e)
	}
	if a.roomy != nil && a.waiting <= exchangesWaiting/2 {
		close(a.roomy)
		a.roomy = nil
	}
	if a.head != nil {
		return
	}
	if a.empty != nil {
		close(a.empty)
		a.empty = nil
	}
	if a.last != "" {
		a.link.Close(a.last)
	}
}

// finish closes the link once the queue is empty.
func (a *acknowledgements) finish(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last = reason; a.head == nil {
		a.link.Close(reason)
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
