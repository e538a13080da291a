package amqphead

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// noStatus is what a caller sees when the answer's status is not an AMQP int.
const noStatus = 400000

// Method implements edge.Session.
func (c *client) Method(call edge.MethodCall) (taken bool) {
	c.send(methodCalls, &amqp.Message{
		Properties:            &amqp.Properties{CorrelationID: call.Correlation},
		ApplicationProperties: amqp.Map{{Key: "IoThub-methodname", Value: call.Name}},
		Data:                  [][]byte{call.Payload},
	}, amqp.Outgoing{})
	return true
}

// methodAnswer handles a client's answer. Correlation ids are compared as lower-case
// text, whether they come as text or UUID.
func (c *client) methodAnswer(_ context.Context, d *amqp.Delivery) {
	defer d.Settle(&amqp.Accepted{})
	var m amqp.Message
	if m.Unmarshal(d.Data) != nil || m.Properties == nil {
		return
	}
	correlation := strings.ToLower(textOf(m.Properties.CorrelationID))
	if correlation == "" {
		return
	}
	value, _ := m.ApplicationProperties.Get("IoThub-status")
	status, ok := value.(int32)
	if !ok {
		c.head.AnswerMethod(c.id, correlation, noStatus, nil)
		return
	}
	var payload json.RawMessage
	if body := slices.Concat(m.Data...); len(body) > 0 {
		payload = body
	}
	c.head.AnswerMethod(c.id, correlation, int(status), payload)
}
