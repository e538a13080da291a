package cloudhead

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// toDevice queues a message for the device that its "to" names. Accepted means queued in
// the cloud, not delivered.
func (p *peer) toDevice(_ context.Context, d *amqp.Delivery) {
	if err := p.queue(d.Data); err != nil {
		d.Settle(&amqp.Rejected{Err: refusal(err)})
		return
	}
	d.Settle(&amqp.Accepted{})
}

func (p *peer) queue(data []byte) error {
	var in amqp.Message
	if err := in.Unmarshal(data); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if in.Properties == nil {
		return errors.New(`message: property "to" is missing`)
	}
	device, err := deviceOf(in.Properties.To)
	if err != nil {
		return err
	}
	return p.server.hub.InjectCloudToDevice(device, convert(&in))
}

// deviceOf reads /devices/{id}/messages/devicebound.
func deviceOf(to string) (string, error) {
	parts := strings.Split(strings.Trim(to, "/"), "/")
	if len(parts) == 4 && strings.EqualFold(parts[0], "devices") &&
		strings.EqualFold(parts[2]+"/"+parts[3], "messages/devicebound") {
		if id, err := url.PathUnescape(parts[1]); err == nil && id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("property to %.256q must be /devices/{id}/messages/devicebound", to)
}

func convert(in *amqp.Message) edge.Message {
	out := edge.Message{Properties: map[string]string{}, System: map[string]string{}}
	for _, part := range in.Data {
		out.Body = append(out.Body, part...)
	}
	p := in.Properties
	set := func(name, value string) {
		if value != "" {
			out.System[name] = value
		}
	}
	set("to", p.To)
	set("messageId", text(p.MessageID))
	set("cid", text(p.CorrelationID))
	set("userId", string(p.UserID))
	set("contentType", string(p.ContentType))
	set("contentEncoding", string(p.ContentEncoding))
	if !p.AbsoluteExpiryTime.IsZero() {
		set("absolute-expiry-time", p.AbsoluteExpiryTime.UTC().Format(time.RFC3339Nano))
	}
	for _, pair := range in.ApplicationProperties {
		key, ok := pair.Key.(string)
		if !ok {
			continue
		}
		out.Properties[key] = text(pair.Value)
	}
	return out
}

// text is the text of an id or of a property, whatever type it was sent as.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case amqp.UUID:
		return v.String()
	}
	return fmt.Sprint(v)
}

// refusal has the conditions of the real service.
func refusal(err error) *amqp.Error {
	var full *edge.Refusal
	switch {
	case errors.Is(err, edge.ErrUnknownIdentity):
		return &amqp.Error{Condition: amqp.CondNotFound, Description: err.Error()}
	case errors.As(err, &full):
		return &amqp.Error{Condition: amqp.Symbol(full.Condition), Description: full.Description}
	}
	return &amqp.Error{Condition: amqp.CondNotAllowed, Description: err.Error()}
}
