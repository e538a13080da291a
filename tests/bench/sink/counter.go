package sink

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/check"
	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

// Address is what programs send to that are no modules.
const Address = "bench"

const (
	// batchFormat is the message format of a transfer whose data sections are messages.
	batchFormat = 0x80013700
	// credit is what a link is granted: the edge hub's own figure, which also bounds the
	// transfers that wait for their answer.
	credit = 1000
	// maxMessage is the real hub's bound of a transfer.
	maxMessage = 1 << 20
)

// counter is an amqp.Handler that takes the telemetry links from the handler behind it.
type counter struct {
	amqp.Handler
	delay time.Duration

	mu    sync.Mutex
	tally *check.Tally
}

// Attach implements amqp.Handler.
func (c *counter) Attach(ctx context.Context, l *amqp.Link) (terms amqp.Terms, err error) {
	free := l.ClientSends && strings.TrimPrefix(l.Address, "/") == Address
	switch {
	case free:
		terms = amqp.Terms{SenderMode: amqp.SenderMixed, MaxMessageSize: maxMessage, Credit: credit}
	default:
		if terms, err = c.Handler.Attach(ctx, l); err != nil {
			return terms, err
		}
	}
	if free || l.ClientSends && strings.HasSuffix(l.Address, "/messages/events") {
		terms.Deliver = c.deliver(ctx)
	}
	return terms, nil
}

// deliver returns what handles a link's transfers. With a delay their answers are given by a
// goroutine that ends with the connection.
func (c *counter) deliver(ctx context.Context) func(context.Context, *amqp.Delivery) {
	if c.delay == 0 {
		return func(_ context.Context, d *amqp.Delivery) {
			c.count(d)
			d.Release()
			d.Settle(&amqp.Accepted{})
		}
	}
	type answer struct {
		delivery *amqp.Delivery
		due      time.Time
	}
	answers := make(chan answer, credit)
	go func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case a := <-answers:
				timer.Reset(time.Until(a.due))
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
				a.delivery.Settle(&amqp.Accepted{})
			}
		}
	}()
	return func(ctx context.Context, d *amqp.Delivery) {
		c.count(d)
		d.Release()
		select {
		case answers <- answer{d, time.Now().Add(c.delay)}:
		case <-ctx.Done():
		}
	}
}

// count counts the messages of a transfer.
func (c *counter) count(d *amqp.Delivery) {
	now := time.Now().UnixNano()
	r := amqp.NewReader(d.Data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Format != batchFormat {
		c.message(&r, now)
		return
	}
	for r.More() {
		section, err := r.Descriptor()
		if err == nil && section != amqp.SectionData {
			err = r.Skip()
		} else if err == nil {
			var member amqp.Reader
			if member, err = r.Embedded(); err == nil {
				c.message(&member, now)
			}
		}
		if err != nil {
			c.tally.Foreign()
			return
		}
	}
}

// message counts one message. Caller holds mu.
func (c *counter) message(r *amqp.Reader, now int64) {
	var body, properties []byte
	for r.More() {
		section, err := r.Descriptor()
		if err != nil {
			c.tally.Foreign()
			return
		}
		switch section {
		case amqp.SectionData:
			body, err = r.Binary()
		case amqp.SectionApplicationProperties:
			properties = r.Rest()
			err = r.Skip()
			properties = properties[:len(properties)-len(r.Rest())]
		default:
			err = r.Skip()
		}
		if err != nil {
			c.tally.Foreign()
			return
		}
	}
	var device []byte
	if !payload.NamesDevice(body) {
		device = deviceOf(properties)
	}
	m, ok := payload.Parse(body, device)
	if !ok {
		c.tally.Foreign()
		return
	}
	c.tally.Add(m.Device, m.Number, time.Duration(now-m.Sent))
}

// deviceName is the property's name as an encoded string of up to 255 bytes, followed by the
// constructor of its value.
var deviceName = []byte("\xa1\x08deviceId\xa1")

// deviceOf finds the device's id in encoded application properties; nil for none.
func deviceOf(properties []byte) []byte {
	i := bytes.Index(properties, deviceName)
	if i < 0 {
		return nil
	}
	value := properties[i+len(deviceName):]
	if len(value) == 0 || len(value) <= int(value[0]) {
		return nil
	}
	return value[1:][:value[0]]
}
