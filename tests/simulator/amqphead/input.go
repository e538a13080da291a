package amqphead

import (
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// Input implements edge.Session: a message for a module input, or, for a leaf
// device, one from the cloud. The hub hands them in one at a time.
func (c *client) Input(d edge.Delivery) {
	k := inputs
	if c.id.Module == "" {
		k = c2d
	}
	w := &waiting{settle: d.Settle}
	m := c.inputMessage(&d)
	// The timer comes first: the outcome may be here before Send returns.
	w.start(c.peer.server.opts.AckTimeout)
	if !c.send(k, m, amqp.Outgoing{Tag: tagOf(d.LockToken), Settled: w.outcome}) {
		// The hub may hold its lock around Input, so the loss is told by the timer's
		// goroutine.
		w.start(0)
	}
}

// waiting is a delivery without an outcome yet.
type waiting struct {
	settle func(edge.Outcome)
	once   sync.Once

	mu    sync.Mutex
	timer *time.Timer
}

// start sets when the delivery counts as lost.
func (w *waiting) start(after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer = time.AfterFunc(after, func() { w.end(edge.Lost) })
}

func (w *waiting) end(o edge.Outcome) {
	w.once.Do(func() {
		w.mu.Lock()
		w.timer.Stop()
		w.mu.Unlock()
		w.settle(o)
	})
}

// outcome maps the client's word.
func (w *waiting) outcome(state amqp.DeliveryState) {
	switch state.(type) {
	case *amqp.Accepted:
		w.end(edge.Accepted)
	case *amqp.Rejected:
		w.end(edge.Rejected)
	case *amqp.Released:
		w.end(edge.Released)
	case *amqp.Modified:
		w.end(edge.Modified)
	default:
		w.end(edge.Lost)
	}
}

// inputMessage builds the message as the hub writes it: system properties in their
// places, the output's name left out.
func (c *client) inputMessage(d *edge.Delivery) *amqp.Message {
	m, system := &d.Message, d.Message.System
	out := &amqp.Message{Data: [][]byte{m.Body}}
	out.Properties = &amqp.Properties{
		To:              system["to"],
		ContentType:     amqp.Symbol(system["contentType"]),
		ContentEncoding: amqp.Symbol(system["contentEncoding"]),
	}
	if id := system["messageId"]; id != "" {
		out.Properties.MessageID = id
	}
	if id := system["cid"]; id != "" {
		out.Properties.CorrelationID = id
	}
	if user := system["userId"]; user != "" {
		out.Properties.UserID = []byte(user)
	}
	if t, err := time.Parse(time.RFC3339Nano, system["absolute-expiry-time"]); err == nil {
		out.Properties.AbsoluteExpiryTime = t
	}
	if c.id.Module == "" && out.Properties.To == "" {
		out.Properties.To = "/devices/" + url.PathEscape(c.id.Device)
	}
	out.Annotations = c.inputAnnotations(d)
	out.ApplicationProperties = applicationProperties(m)
	return out
}

func (c *client) inputAnnotations(d *edge.Delivery) amqp.Map {
	m := &d.Message
	count, _ := strconv.ParseUint(m.System["deliveryCount"], 10, 8)
	sequence, err := strconv.ParseUint(m.System["sequenceNumber"], 10, 64)
	if err != nil {
		c.mu.Lock()
		c.sequence++
		sequence = c.sequence
		c.mu.Unlock()
	}
	notes := amqp.Map{
		{Key: amqp.Symbol("iothub-enqueuedtime"), Value: m.Enqueued},
		{Key: amqp.Symbol("iothub-deliverycount"), Value: uint8(count)},
		{Key: amqp.Symbol("x-opt-lock-token"), Value: d.LockToken},
		{Key: amqp.Symbol("x-opt-sequence-number"), Value: sequence},
	}
	texts := []struct{ key, value string }{
		{"x-opt-input-name", m.Input},
		{"iothub-connection-device-id", m.From.Device},
		{"iothub-connection-module-id", m.From.Module},
		{"dt-subject", m.System["dt-subject"]},
	}
	for _, t := range texts {
		if t.value != "" {
			notes = append(notes, amqp.Pair{Key: amqp.Symbol(t.key), Value: t.value})
		}
	}
	return notes
}

func applicationProperties(m *edge.Message) amqp.Map {
	out := amqp.Map{}
	for key, value := range m.Properties {
		out = append(out, amqp.Pair{Key: key, Value: value})
	}
	for _, s := range []struct{ key, name string }{
		{"iothub-message-schema", "messageSchema"},
		{"iothub-creation-time-utc", "creationTime"},
		{"iothub-operation", "operation"},
	} {
		if value := m.System[s.name]; value != "" {
			out = append(out, amqp.Pair{Key: s.key, Value: value})
		}
	}
	return out
}

// tagOf returns the lock token's 16 bytes in the order that .NET writes a GUID: the
// first three groups the other way round. A token that is no GUID has no tag.
func tagOf(token string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(token, "-", ""))
	if err != nil || len(b) != 16 {
		return nil
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}
