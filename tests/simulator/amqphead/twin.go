package amqphead

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// twinRequest handles one request. One without a correlation id, or of an unknown
// operation, is lost, as in the real hub.
func (c *client) twinRequest(ctx context.Context, d *amqp.Delivery) {
	defer d.Settle(&amqp.Accepted{})
	var m amqp.Message
	if m.Unmarshal(d.Data) != nil || m.Properties == nil {
		return
	}
	correlation := textOf(m.Properties.CorrelationID)
	if correlation == "" {
		return
	}
	operation, _ := m.Annotations.Get("operation")
	status, body := int32(200), []byte{}
	switch textOf(operation) {
	case "GET":
		twin, err := c.head.Twin(ctx, c.id)
		status, body = twinStatus(err, 200), twin
	case "PATCH":
		err := c.head.PatchReported(ctx, c.id, json.RawMessage(slices.Concat(m.Data...)))
		status = twinStatus(err, 204)
	case "PUT":
		c.head.Subscribe(c.id, edge.TopicDesired)
	case "DELETE":
		c.head.Unsubscribe(c.id, edge.TopicDesired)
	default:
		return
	}
	if status >= 400 {
		body = nil
	}
	c.send(twinAnswers, &amqp.Message{
		Annotations: amqp.Map{{Key: amqp.Symbol("status"), Value: status}},
		Properties:  &amqp.Properties{CorrelationID: correlation},
		Data:        [][]byte{body},
	}, amqp.Outgoing{})
}

func twinStatus(err error, good int32) int32 {
	switch {
	case err == nil:
		return good
	case errors.Is(err, edge.ErrInvalidTwin):
		return 400
	}
	return 500
}

// Desired implements edge.Session.
func (c *client) Desired(patch json.RawMessage) {
	c.send(twinAnswers, &amqp.Message{Data: [][]byte{patch}}, amqp.Outgoing{})
}
