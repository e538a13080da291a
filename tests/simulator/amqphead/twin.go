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
	status, body := c.twinOperation(ctx, &m)
	if status == 0 {
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

// twinOperation does what is asked; status 0 is a request that is lost.
func (c *client) twinOperation(ctx context.Context, m *amqp.Message) (status int32, body []byte) {
	annotation, _ := m.Annotations.Get("operation")
	operation := textOf(annotation)
	if !c.resourceFits(operation, m) {
		return 400, nil
	}
	switch operation {
	case "GET":
		twin, err := c.head.Twin(ctx, c.id)
		return twinStatus(err, 200), twin
	case "PATCH":
		err := c.head.PatchReported(ctx, c.id, json.RawMessage(slices.Concat(m.Data...)))
		return twinStatus(err, 204), nil
	case "PUT":
		if err := c.head.Subscribe(c.id, edge.TopicDesired); err != nil {
			return 500, nil
		}
		return 200, nil
	case "DELETE":
		c.head.Unsubscribe(c.id, edge.TopicDesired)
		return 200, nil
	}
	return 0, nil
}

func twinStatus(err error, good int32) int32 {
	switch {
	case err == nil:
		return good
	case errors.Is(err, edge.ErrInvalidTwin):
		return 400
	case errors.Is(err, edge.ErrThrottled):
		return 429
	}
	return 500
}

// resourceFits says whether a request names the resource that IoT Hub wants to its
// operation. An edge hub does not look at it.
func (c *client) resourceFits(operation string, m *amqp.Message) bool {
	if !c.peer.server.opts.Cloud {
		return true
	}
	resource, _ := m.Annotations.Get("resource")
	switch operation {
	case "PATCH":
		return textOf(resource) == "/properties/reported"
	case "PUT", "DELETE":
		return textOf(resource) == "/notifications/twin/properties/desired"
	}
	return true
}

// Desired implements edge.Session.
func (c *client) Desired(patch json.RawMessage) {
	c.send(twinAnswers, &amqp.Message{Data: [][]byte{patch}}, amqp.Outgoing{})
}
