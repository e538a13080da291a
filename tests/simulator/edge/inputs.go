package edge

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/route"
)

// enqueueInput queues a copy of the message for a module's input.
func (h *Hub) enqueueInput(sink route.Sink, priority uint32, item queued) error {
	item.message.Input = sink.Input
	return h.queueInput(Identity{Device: h.opts.Device, Module: sink.Module}, priority, item)
}

func (h *Hub) queueInput(id Identity, priority uint32, item queued) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.New("the hub is closed")
	}
	c := h.clientOf(id)
	if !c.inputs.push(priority, item) {
		return &Refusal{ConditionThrottled, "the store of " + id.String() + " is full"}
	}
	if !c.pumping {
		c.pumping = true
		h.pumps.Go(func() { h.pump(c) })
	} else if id.Module == "" {
		c.change() // it may expire before the one that is waited with
	}
	return nil
}

// InjectInput puts a message before a module's input without a route. From may be empty,
// then it comes from a module called simulator.
func (h *Hub) InjectInput(module, input string, m Message) error {
	if module == "" || input == "" {
		return errors.New("inject: module and input must be named")
	}
	if m.From == (Identity{}) {
		m.From = Identity{Device: h.opts.Device, Module: "simulator"}
	}
	m.Input, m.Enqueued = input, h.opts.Now()
	size, err := check(&m)
	if err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	id := Identity{Device: h.opts.Device, Module: module}
	if err := h.knows(id); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if err := h.queueInput(id, DefaultPriority, queued{message: m, size: size}); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	return nil
}

// Waiting counts the messages that wait in an identity's queue.
func (h *Hub) Waiting(id Identity) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.clients[id]; ok {
		return c.inputs.len()
	}
	return 0
}

// topicOf is what a client listens to for its queue: inputs, or messages from the cloud.
func topicOf(id Identity) Topic {
	if id.Module == "" {
		return TopicC2D
	}
	return TopicInputs
}

// pump delivers a client's input messages one at a time, until there are no more.
func (h *Hub) pump(c *client) {
	var sequence uint64
	for {
		h.mu.Lock()
		item, expired, ok := c.inputs.pop(h.opts.Now())
		h.counters.expired.Add(uint64(len(expired)))
		for i := range expired {
			h.reportLocked(c.id, &expired[i], FeedbackExpired)
		}
		if !ok || h.closed {
			c.pumping = false
			if c.session == nil && h.clients[c.id] == c {
				c.change() // who waits for this client has to look for its successor
				delete(h.clients, c.id)
			}
			h.mu.Unlock()
			return
		}
		generation := c.generation
		h.mu.Unlock()
		sequence++
		h.deliver(c, item, sequence, generation)
	}
}

// deliver tries one message until it is settled for good, expires, is purged, or the hub
// closes.
func (h *Hub) deliver(c *client, item queued, sequence uint64, generation int) {
	for count := 0; ; count++ {
		if c.id.Module == "" && count >= maxDeliveries {
			h.counters.inputsDropped.Add(1)
			h.report(c.id, &item, FeedbackDeliveryCount)
			return
		}
		s := h.awaitInputs(c, &item, generation)
		if s == nil {
			return
		}
		outcome := h.offer(c, s, &item, sequence, count)
		h.tallyDelivery(c.id, outcome)
		switch {
		case outcome == Accepted:
			h.counters.inputsAccepted.Add(1)
			h.report(c.id, &item, FeedbackSuccess)
			return
		case outcome == Rejected, outcome == Released && c.id.Module != "":
			h.counters.inputsDropped.Add(1)
			h.report(c.id, &item, FeedbackRejected)
			return
		case outcome == Released: // the cloud sends an abandoned message again
			h.pause(h.opts.RetryDelay)
		}
		h.counters.inputsRetried.Add(1)
	}
}

// tallyDelivery counts what a device made of a message from the cloud.
func (h *Hub) tallyDelivery(id Identity, o Outcome) {
	if id.Module != "" {
		return
	}
	t := h.seen.of(id)
	switch o {
	case Accepted:
		t.completed.Add(1)
	case Rejected:
		t.rejected.Add(1)
	case Released:
		t.abandoned.Add(1)
	default:
		t.lost.Add(1)
	}
}

// awaitInputs waits for a session that listens to inputs. It returns nil when the message
// has expired or was purged, or the hub closes. Messages from the cloud also wait for the
// link to it, and those behind this one expire meanwhile.
func (h *Hub) awaitInputs(c *client, item *queued, generation int) Session {
	for {
		now := h.opts.Now()
		if item.expired(now) {
			h.counters.expired.Add(1)
			h.report(c.id, item, FeedbackExpired)
			return nil
		}
		h.mu.Lock()
		s, changed := c.session, c.changed
		ready := s != nil && c.topics[topicOf(c.id)] && !h.closed
		purged := c.generation != generation
		expires := item.expires
		if c.id.Module == "" {
			expires = h.expireBehind(c, now, expires)
		}
		h.mu.Unlock()
		if purged {
			h.report(c.id, item, FeedbackPurged)
			return nil
		}
		// The link is looked at after the channel was taken that its return closes.
		if ready && (c.id.Module != "" || !h.CloudCut()) {
			return s
		}
		if !h.sleep(changed, now, expires) {
			return nil
		}
	}
}

// expireBehind reports those that have expired in the queue of a device, and returns the
// time of the next, or of the one before the queue. Caller holds mu.
func (h *Hub) expireBehind(c *client, now, first time.Time) time.Time {
	expired, next := c.inputs.expire(now)
	h.counters.expired.Add(uint64(len(expired)))
	for i := range expired {
		h.reportLocked(c.id, &expired[i], FeedbackExpired)
	}
	if next.IsZero() || !first.IsZero() && first.Before(next) {
		return first
	}
	return next
}

// sleep waits for the channel or the time, zero for never; it returns false when the hub
// closes.
func (h *Hub) sleep(changed <-chan struct{}, now, until time.Time) bool {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(until.Sub(now))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-due:
	case <-h.done:
		return false
	}
	return true
}

// offer hands the message over once and waits for the outcome. Modified, like silence,
// holds until the acknowledgement time is over, as the real hub ignores it.
func (h *Hub) offer(c *client, s Session, item *queued, sequence uint64, count int) Outcome {
	settled := make(chan Outcome, 1)
	var once sync.Once
	s.Input(Delivery{
		Message:   delivered(&item.message, sequence, count),
		LockToken: guid(),
		Settle:    func(o Outcome) { once.Do(func() { settled <- o }) },
	})
	limit := time.NewTimer(h.opts.AckTimeout)
	defer limit.Stop()
	for {
		h.mu.Lock()
		gone, changed := c.session != s, c.changed
		h.mu.Unlock()
		if gone {
			return lastWord(settled)
		}
		select {
		case o := <-settled:
			switch o {
			case Modified:
				continue
			case Lost:
				h.pause(h.opts.RetryDelay)
			}
			return o
		case <-changed:
		case <-limit.C:
			return Modified
		case <-h.done:
			return Lost
		}
	}
}

// lastWord is what a session that has gone had said before. Modified leads to redelivery,
// for which nobody waits now.
func lastWord(settled <-chan Outcome) Outcome {
	select {
	case o := <-settled:
		if o != Modified {
			return o
		}
	default:
	}
	return Lost
}

// pause keeps a receiver that loses every message from making a busy loop.
func (h *Hub) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.done:
	}
}

// delivered is the message as a receiver gets it: with the originator and the counters
// in its system properties.
func delivered(m *Message, sequence uint64, count int) Message {
	system := maps.Clone(m.System)
	if system == nil {
		system = map[string]string{}
	}
	if m.From.Device != "" {
		system["connectionDeviceId"] = m.From.Device
	}
	if m.From.Module != "" {
		system["connectionModuleId"] = m.From.Module
	}
	system["sequenceNumber"] = strconv.FormatUint(sequence, 10)
	system["deliveryCount"] = strconv.Itoa(min(count, 255))
	copied := *m
	copied.System = system
	return copied
}
