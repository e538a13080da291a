package mqtthead

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const (
	// maxInFlight is how many publishes of quality 1 a client may leave unacknowledged.
	maxInFlight = 16
	// maxHeld bounds what waits behind those: methods and desired patches that a client
	// asked for with quality 1. More are lost.
	maxHeld = 100
)

// flight is a publish to a client. Settle, if not nil, is told how it went.
type flight struct {
	topic   string
	payload []byte
	qos     byte
	settle  func(edge.Outcome)
}

// flights are the publishes on their way. The client's lock guards them.
type flights struct {
	last  uint16
	wait  map[uint16]func(edge.Outcome)
	queue []flight
}

// next is a packet id that is not in use.
func (f *flights) next() uint16 {
	for {
		if f.last++; f.last != 0 {
			if _, used := f.wait[f.last]; !used {
				return f.last
			}
		}
	}
}

// deliver sends, or holds back while 16 are unacknowledged. Caller holds mu; settle must
// not wait for the client.
func (c *client) deliver(f flight) {
	switch {
	case f.qos == 0:
		c.launch(f, 0)
		f.done(edge.Accepted)
	case len(c.flights.wait) < maxInFlight:
		id := c.flights.next()
		if c.flights.wait == nil {
			c.flights.wait = map[uint16]func(edge.Outcome){}
		}
		c.flights.wait[id] = f.done
		c.launch(f, id)
	case len(c.flights.queue) < maxHeld:
		c.flights.queue = append(c.flights.queue, f)
	default:
		f.done(edge.Lost)
	}
}

func (f *flight) done(o edge.Outcome) {
	if f.settle != nil {
		f.settle(o)
	}
}

// launch encodes and queues. A topic that MQTT cannot carry ends the connection, as the
// real hub's encoder does.
func (c *client) launch(f flight, id uint16) {
	if len(f.topic) > math.MaxUint16 {
		c.end(fmt.Errorf("%w: topic of %d bytes", errPacket, len(f.topic)))
		return
	}
	b, err := publication(f.topic, f.payload, f.qos, id)
	if err != nil {
		c.end(err)
		return
	}
	c.post(b)
}

// acknowledged settles a publish and sends the next that was held back. An id that waits
// for nothing is ignored.
func (c *client) acknowledged(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, ok := c.flights.wait[id]
	if !ok {
		return
	}
	delete(c.flights.wait, id)
	done(edge.Accepted)
	if len(c.flights.queue) > 0 {
		next := c.flights.queue[0]
		c.flights.queue = c.flights.queue[1:]
		c.deliver(next)
	}
}

// send delivers on a topic that a subscription must match, and is false when none does.
func (c *client) send(topic string, payload []byte, enqueued time.Time, settle func(edge.Outcome)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := flight{topic: topic, payload: payload, settle: settle}
	qos, ok := c.subs.match(topic, enqueued)
	if !ok {
		f.done(edge.Rejected)
		return false
	}
	f.qos = qos
	c.deliver(f)
	return true
}

// Input implements edge.Session: a message for a module input, or, for a leaf device, one
// from the cloud. One that was there before the subscription is rejected, and so lost.
func (c *client) Input(d edge.Delivery) {
	m := &d.Message
	topic := "devices/" + c.id.Device
	if c.id.Module == "" {
		topic += "/messages/devicebound/"
	} else {
		topic += "/modules/" + c.id.Module + "/inputs/" + m.Input + "/"
	}
	c.send(topic+writeBag(m), m.Body, m.Enqueued, d.Settle)
}

// Method implements edge.Session.
func (c *client) Method(call edge.MethodCall) (taken bool) {
	return c.send(callPrefix+escape(call.Name)+"/?$rid="+call.Correlation, call.Payload, time.Time{}, nil)
}

// Desired implements edge.Session.
func (c *client) Desired(patch json.RawMessage) {
	var version struct {
		Number json.Number `json:"$version"`
	}
	if json.Unmarshal(patch, &version) != nil {
		return // the hub makes the patch, so it is an object with a version
	}
	c.send(desiredPrefix+"?$version="+version.Number.String(), patch, time.Time{}, nil)
}
