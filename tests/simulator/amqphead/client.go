package amqphead

import (
	"strings"
	"sync"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The limits of the real hub, in bytes.
const (
	// maxMessage is the max-message-size of links; a greater transfer detaches.
	maxMessage = 1 << 20
	// credit is what each sending client is granted.
	credit = 1000
)

// client is one identity on one connection; it implements edge.Session.
type client struct {
	peer  *peer
	head  edge.Head
	id    edge.Identity
	leave func()

	mu       sync.Mutex
	links    map[kind]*amqp.Link
	gone     bool
	sequence uint64 // of messages delivered, for those that the hub gave no number
}

var _ edge.Session = (*client)(nil)

// Close implements edge.Session: the whole connection is closed without an error,
// whoever else is on it. The reason stays here, for the real hub only logs it.
func (c *client) Close(string) { c.peer.conn.Close(nil) }

// Reset implements edge.Session.
func (c *client) Reset() { c.peer.conn.Drop() }

// attach makes the terms of a link and enters it.
func (c *client) attach(k kind, l *amqp.Link) (amqp.Terms, error) {
	terms := c.terms(k)
	if err := c.register(k, l); err != nil {
		return amqp.Terms{}, err
	}
	terms.MaxMessageSize = maxMessage
	if l.ClientSends {
		terms.Credit = credit
	}
	terms.Detached = func() { c.unregister(k) }
	if topic, ok := k.topic(); ok && (topic != edge.TopicDesired || !c.peer.server.opts.Cloud) {
		if err := c.head.Subscribe(c.id, topic); err != nil {
			c.forget(k, l)
			return amqp.Terms{}, refusalOf(err, amqp.CondInternal, err.Error())
		}
	}
	return terms, nil
}

// terms are the settle modes by quality of service, and who handles deliveries.
func (c *client) terms(k kind) amqp.Terms {
	switch k {
	case telemetry:
		return amqp.Terms{SenderMode: amqp.SenderMixed, Deliver: c.publish}
	case c2d:
		return amqp.Terms{SenderMode: amqp.SenderMixed, ReceiverMode: amqp.ReceiverSecond}
	case twinRequests:
		return amqp.Terms{SenderMode: amqp.SenderSettled, Deliver: c.twinRequest}
	case methodAnswers:
		return amqp.Terms{SenderMode: amqp.SenderSettled, Deliver: c.methodAnswer}
	case twinAnswers, methodCalls:
		return amqp.Terms{SenderMode: amqp.SenderSettled}
	}
	return amqp.Terms{SenderMode: amqp.SenderMixed}
}

// register keeps the pairs' correlation rule and replaces an older link of the same
// kind.
func (c *client) register(k kind, l *amqp.Link) error {
	c.mu.Lock()
	older, sibling := c.links[k], c.links[k.sibling()]
	if k.sibling() == none {
		sibling = nil
	}
	if sibling != nil && (l.Properties == nil || sibling.Properties == nil) {
		c.mu.Unlock()
		return &amqp.Error{Condition: amqp.CondInternal, Description: "the link has no properties"}
	}
	c.links[k] = l
	c.mu.Unlock()
	if sibling != nil && correlation(sibling) != correlation(l) {
		sibling.Detach(nil)
	}
	if older != nil {
		older.Detach(nil)
	}
	return nil
}

// correlation is what follows the first colon of the channel correlation id.
func correlation(l *amqp.Link) string {
	v, _ := l.Properties.Get("com.microsoft:channel-correlation-id")
	s, _ := v.(string)
	_, id, _ := strings.Cut(s, ":")
	return id
}

// forget takes out a link that was not opened after all.
func (c *client) forget(k kind, l *amqp.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links[k] == l {
		delete(c.links, k)
	}
}

// unregister goes by the kind alone, as the real hub does: when a link has been
// replaced, the end of the older one takes the newer one out. Without any link the
// identity, and with it the connection, ends.
func (c *client) unregister(k kind) {
	c.mu.Lock()
	delete(c.links, k)
	last := len(c.links) == 0 && !c.gone
	c.gone = c.gone || last
	c.mu.Unlock()
	select {
	case <-c.peer.conn.Ended():
		// Leaving ends the topics. They go by identity, and by now it may be present on
		// another connection.
	default:
		if topic, ok := k.topic(); ok && !last {
			c.head.Unsubscribe(c.id, topic)
		}
	}
	if last {
		c.leave()
		c.peer.conn.Close(nil)
	}
}

func (c *client) link(k kind) *amqp.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links[k]
}

// send encodes and queues a message for the client. It reports whether there was a
// link with room; without, the message is lost, as on a real connection that fails.
func (c *client) send(k kind, m *amqp.Message, o amqp.Outgoing) bool {
	l := c.link(k)
	if l == nil {
		return false
	}
	data, err := m.Append(nil)
	if err != nil {
		return false
	}
	o.Data = data
	return l.Send(&o) == nil
}
