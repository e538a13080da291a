package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// twinTimeout bounds a twin request: the hub itself may wait 50 s for a cloud
// that hangs before it answers from its store.
const twinTimeout = 60 * time.Second

// TwinError is a twin request that the hub refused: 400 for a patch that breaks
// the rules, 500 for anything else.
type TwinError struct{ Status int }

// Error implements error.
func (e *TwinError) Error() string { return fmt.Sprintf("edge hub answered status %d", e.Status) }

// twinLinks is the pair of links that carries twin requests, their answers, and
// desired patches.
type twinLinks struct {
	hub *Hub
	tx  *amqp.Sender
	rx  *amqp.Receiver

	mu      sync.Mutex
	waiting map[string]chan twinAnswer
}

type twinAnswer struct {
	status int64
	body   []byte
}

func (c *connection) newTwinLinks(ctx context.Context) (*twinLinks, error) {
	id, props := c.hub.opts.Identity, c.properties("twin:"+newGUID())
	tx, rx, err := pair(ctx, c.session, id.address("/twin"), "Twin", props)
	if err != nil {
		return nil, err
	}
	return &twinLinks{hub: c.hub, tx: tx, rx: rx, waiting: make(map[string]chan twinAnswer)}, nil
}

// pair attaches a sender and a receiver on one address, in the settle modes that
// the hub's twin and method handlers use.
func pair(
	ctx context.Context, s *amqp.Session, address, name string, props map[string]any,
) (*amqp.Sender, *amqp.Receiver, error) {
	rx, err := s.NewReceiver(ctx, address, &amqp.ReceiverOptions{
		Name: name + "ReceiverLink", Credit: 100, Properties: props,
		RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
		SettlementMode:            amqp.ReceiverSettleModeFirst.Ptr(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("attach %s receiver: %w", name, err)
	}
	tx, err := s.NewSender(ctx, address, &amqp.SenderOptions{
		Name: name + "SenderLink", Properties: props,
		SettlementMode: amqp.SenderSettleModeSettled.Ptr(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("attach %s sender: %w", name, err)
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
			t.hub.opts.Handler.Desired(json.RawMessage(body))
			continue
		}
		t.mu.Lock()
		answer := t.waiting[id]
		delete(t.waiting, id)
		t.mu.Unlock()
		if answer != nil {
			answer <- twinAnswer{status: number(msg.Annotations["status"]), body: body}
		}
	}
}

// request sends a twin operation and waits for its answer.
func (t *twinLinks) request(ctx context.Context, operation string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, twinTimeout)
	defer cancel()
	id := operation + newGUID()
	answer := make(chan twinAnswer, 1)
	t.mu.Lock()
	t.waiting[id] = answer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.waiting, id)
		t.mu.Unlock()
	}()
	msg := &amqp.Message{
		Properties:  &amqp.MessageProperties{CorrelationID: id},
		Annotations: amqp.Annotations{"operation": operation},
		Data:        [][]byte{body},
	}
	if operation == "PATCH" {
		msg.Annotations["resource"] = "/properties/reported"
	}
	if err := t.tx.Send(ctx, msg, nil); err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		if a.status/100 != 2 {
			return nil, &TwinError{Status: int(a.status)}
		}
		return a.body, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
