package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// unacknowledged is how many publishes may wait for their PUBACK. The hub handles a
	// client's publishes one by one, and stops reading when 100 wait.
	unacknowledged = 16
)

// errPublishLimit is why a message cannot be published that AMQP would carry.
var errPublishLimit = fmt.Errorf(
	"more than the %d bytes, or %d of properties, that MQTT carries", publishLimit, topicLimit)

// air is what has been published and is not yet acknowledged.
type air struct {
	slots  chan struct{} // has one for each
	landed chan *flight  // flights that are acknowledged whole; has room for a window

	mu    sync.Mutex
	last  uint16
	turns uint64
	waits map[uint16]publish
}

// carried is a flight on its way.
type carried struct {
	flight *flight
	left   int // messages without their PUBACK
}

// publish is a message on its way.
type publish struct {
	of     *carried
	number int    // in its flight
	turn   uint64 // in the order of sending
}

func newAir(window int) *air {
	return &air{
		slots: make(chan struct{}, unacknowledged), landed: make(chan *flight, window),
		waits: make(map[uint16]publish, unacknowledged),
	}
}

// launch notes the publish of a flight's message and returns its id. The caller has a slot.
func (a *air) launch(c *carried, number int) uint16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turns++
	id := a.unusedLocked()
	a.waits[id] = publish{of: c, number: number, turn: a.turns}
	return id
}

// unused returns an id for another packet, which comes again only after 65,535 publishes.
func (a *air) unused() uint16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unusedLocked()
}

func (a *air) unusedLocked() uint16 {
	for {
		if a.last++; a.last == 0 {
			continue // no id
		}
		if _, used := a.waits[a.last]; !used {
			return a.last
		}
	}
}

// acknowledged notes a PUBACK. One for nothing is ignored.
func (a *air) acknowledged(id uint16) {
	a.mu.Lock()
	c := a.waits[id].of
	delete(a.waits, id)
	a.mu.Unlock()
	if c == nil {
		return
	}
	if c.left--; c.left == 0 { // only the reader's goroutine counts
		a.landed <- c.flight
	}
	<-a.slots
}

// oldest is when the flight was sent that waits longest; zero for none.
func (a *air) oldest() (sent time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.waits {
		if at := p.of.flight.sent; sent.IsZero() || at.Before(sent) {
			sent = at
		}
	}
	return sent
}

// first is the message that was sent first of those that wait, by its flight and its
// number there; nil for none. The hub handles a client's publishes one by one, so it is the
// one at hand.
func (a *air) first() (f *flight, number int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	turn := uint64(0)
	for _, p := range a.waits {
		if f == nil || p.turn < turn {
			f, number, turn = p.of.flight, p.number, p.turn
		}
	}
	return f, number
}

// send is the loop that publishes flights, in order, until the link is to be left.
func (l *mqttLink) send(ctx context.Context) error {
	u := l.hub.uplink
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		select {
		case <-l.leaving:
			return l.leave(ctx)
		default:
		}
		f, wait := u.next(time.Now())
		if f == nil {
			if err := l.wire.flush(); err != nil {
				return err
			}
			if err := u.await(ctx, linger, wait); err != nil {
				return err
			}
			continue
		}
		if err := l.publish(ctx, f); err != nil {
			return err
		}
	}
}

// slot waits until one more publish may be unacknowledged.
func (l *mqttLink) slot(ctx context.Context) error {
	select {
	case l.air.slots <- struct{}{}:
		return nil
	default:
	}
	if err := l.wire.flush(); err != nil {
		return err
	}
	select {
	case l.air.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends a flight's messages, each by itself. A flight with a message that MQTT
// cannot carry is taken apart before anything of it has left.
func (l *mqttLink) publish(ctx context.Context, f *flight) error {
	list, err := l.publications(f)
	if err != nil {
		l.misfit(f, err)
		return nil
	}
	f.sent = time.Now()
	c := &carried{flight: f, left: len(list)}
	for number, p := range list {
		if err := l.slot(ctx); err != nil {
			return err
		}
		p.Qos, p.MessageID = 1, l.air.launch(c, number)
		if err := l.wire.put(p); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// publications reads the messages back from their AMQP form, which is the one that the
// uplink and the disk know.
func (l *mqttLink) publications(f *flight) ([]*packets.PublishPacket, error) {
	list := make([]*packets.PublishPacket, 0, f.len())
	var members [][]byte
	for _, b := range f.batches {
		members = b.appendMembers(members[:0])
		for _, encoded := range members {
			m, err := readMessage(encoded)
			if err != nil {
				return nil, fmt.Errorf("publish: %w", err)
			}
			topic := l.hub.opts.Identity.eventsTopic(m)
			if len(topic) > topicLimit || publishHead+len(topic)+len(m.Body) > publishLimit {
				return nil, errPublishLimit
			}
			list = append(list, publication(topic, m.Body))
		}
	}
	return list, nil
}

// misfit takes a flight apart until the message that cannot be published stands alone,
// and refuses that.
func (l *mqttLink) misfit(f *flight, reason error) {
	u := l.hub.uplink
	if f.len() > 1 {
		u.isolate(f)
		return
	}
	r := refusal(f.batches[0], reason)
	u.opts.Refused(r)
	u.refused(f, r)
}

// settle settles flights that have landed, and ends a link whose hub has left a publish
// without an answer for too long.
func (l *mqttLink) settle(ctx context.Context) error {
	patience := l.hub.opts.SettleTimeout
	look := time.NewTicker(max(patience/4, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-l.air.landed:
			l.settleFlight(f)
		case now := <-look.C:
			if sent := l.air.oldest(); !sent.IsZero() && now.Sub(sent) > patience {
				return fmt.Errorf("edge hub left a publish unacknowledged for %v", patience)
			}
		}
	}
}

func (l *mqttLink) settleFlight(f *flight) {
	messages, inFlight := f.len(), time.Since(f.sent)
	l.hub.uplink.accepted(f)
	l.hub.opts.Observer.Batch(messages, inFlight, "")
}

// settleLanded settles what has landed while nothing else runs.
func (l *mqttLink) settleLanded() {
	for {
		select {
		case f := <-l.air.landed:
			l.settleFlight(f)
		default:
			return
		}
	}
}
