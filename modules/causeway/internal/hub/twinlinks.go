package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/Azure/go-amqp"
)

// twinLinks is the pair of links that carries twin requests, their answers, and
// desired patches.
type twinLinks struct {
	desired func(patch json.RawMessage)
	tx      *amqp.Sender
	rx      *amqp.Receiver

	requests twinRequests
}

func newTwinLinks(
	ctx context.Context, s *amqp.Session, id Identity, version, suffix string, desired func(json.RawMessage),
) (*twinLinks, error) {
	props := linkProperties(version, "twin:"+newGUID())
	tx, rx, err := pair(ctx, s, id.address("/twin"), "Twin", suffix, props)
	if err != nil {
		return nil, err
	}
	return &twinLinks{desired: desired, tx: tx, rx: rx}, nil
}

// pair attaches a sender and a receiver on one address, in the settle modes that
// the hub's twin and method handlers use. On failure neither is left. A name cannot be used again on a
// session where it was refused (the library keeps it), so whoever tries again adds a suffix.
func pair(
	ctx context.Context, s *amqp.Session, address, name, suffix string, props map[string]any,
) (*amqp.Sender, *amqp.Receiver, error) {
	rx, err := s.NewReceiver(ctx, address, &amqp.ReceiverOptions{
		Name: name + "ReceiverLink" + suffix, Credit: 100, Properties: props,
		RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
		SettlementMode:            amqp.ReceiverSettleModeFirst.Ptr(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("attach %s receiver: %w", name, err)
	}
	tx, err := s.NewSender(ctx, address, &amqp.SenderOptions{
		Name: name + "SenderLink" + suffix, Properties: props,
		SettlementMode: amqp.SenderSettleModeSettled.Ptr(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("attach %s sender: %w", name, errors.Join(err, detach(rx)))
	}
	return tx, rx, nil
}

// serve hands answers to their callers and desired patches to the handler.
func (t *twinLinks) serve(ctx context.Context) error {
	for {
		msg, err := t.rx.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("receive twin: %w", err)
		}
		if err := t.rx.AcceptMessage(ctx, msg); err != nil {
			return fmt.Errorf("settle twin: %w", err)
		}
		body := msg.GetData()
		id := correlation(msg)
		if id == "" {
			t.desired(json.RawMessage(body))
			continue
		}
		t.requests.answered(id, twinAnswer{status: int(number(msg.Annotations["status"])), body: body})
	}
}

// twinResources are what the operations are about; the edge hub does not look at them. Read only.
var twinResources = map[string]string{
	"PATCH": "/properties/reported",
	"PUT":   "/notifications/twin/properties/desired",
}

// subscribe asks IoT Hub for the notifications that the edge hub sends without being asked
// (TwinReceivingLinkHandler.cs).
func (t *twinLinks) subscribe(ctx context.Context) error {
	if _, err := t.request(ctx, "PUT", nil); err != nil {
		return fmt.Errorf("subscribe to desired properties: %w", err)
	}
	return nil
}

// request sends a twin operation and waits for its answer.
func (t *twinLinks) request(ctx context.Context, operation string, body []byte) ([]byte, error) {
	return t.requests.ask(ctx, operation, func(ctx context.Context, id string) error {
		msg := &amqp.Message{
			Properties:  &amqp.MessageProperties{CorrelationID: id},
			Annotations: amqp.Annotations{"operation": operation},
			Data:        [][]byte{body},
		}
		if resource := twinResources[operation]; resource != "" {
			msg.Annotations["resource"], msg.Annotations["version"] = resource, nil
		}
		return t.tx.Send(ctx, msg, nil)
	})
}
