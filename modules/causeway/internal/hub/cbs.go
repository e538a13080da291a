package hub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
)

// errPutToken: the hub refused a token.
var errPutToken = errors.New("put token refused")

// cbs is the claims-based security node ($cbs): a pair of links that stays open
// for renewals. The hub answers 200 to any well-formed token and judges it at the
// first link attach (CbsNode.cs).
type cbs struct {
	tx *amqp.Sender
	rx *amqp.Receiver

	turn chan struct{} // held by who puts a token: the answers come on one link
	next int
}

func newCBS(ctx context.Context, s *amqp.Session) (*cbs, error) {
	tx, err := s.NewSender(ctx, "$cbs", &amqp.SenderOptions{Name: "cbs-sender"})
	if err != nil {
		return nil, fmt.Errorf("attach cbs sender: %w", err)
	}
	rx, err := s.NewReceiver(ctx, "$cbs", &amqp.ReceiverOptions{Name: "cbs-receiver"})
	if err != nil {
		return nil, fmt.Errorf("attach cbs receiver: %w", err)
	}
	return &cbs{tx: tx, rx: rx, turn: make(chan struct{}, 1)}, nil
}

// renew signs a token for the identity, puts it, and returns when it expires.
func (c *cbs) renew(ctx context.Context, id Identity, by Credential, ttl time.Duration) (time.Time, error) {
	expiry := time.Now().Add(ttl)
	token, err := newToken(ctx, id, by, expiry)
	if err != nil {
		return time.Time{}, err
	}
	return expiry, c.put(ctx, id.audience(), token)
}

// put hands in a token and waits for the answer, and for the calls before it.
func (c *cbs) put(ctx context.Context, audience, token string) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	c.next++
	id := "put-token-" + strconv.Itoa(c.next)
	to, replyTo := "$cbs", "cbs"
	err := c.tx.Send(ctx, &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: id, To: &to, ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{
			"operation": "put-token",
			"type":      "servicebus.windows.net:sastoken",
			"name":      audience,
		},
		Value: token,
	}, nil)
	if err != nil {
		return fmt.Errorf("put token: %w", err)
	}
	for {
		answer, err := c.rx.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("put token: %w", err)
		}
		if err := c.rx.AcceptMessage(ctx, answer); err != nil {
			return fmt.Errorf("put token: %w", err)
		}
		if answer.Properties == nil || answer.Properties.CorrelationID != any(id) {
			continue // the answer to an earlier call that was given up
		}
		status := number(answer.ApplicationProperties["status-code"])
		if status/100 != 2 {
			text, _ := answer.ApplicationProperties["status-description"].(string)
			return fmt.Errorf("%w: status %d: %s", errPutToken, status, text)
		}
		return nil
	}
}

// number reads the integer types that peers use for a status.
func number(v any) int64 {
	switch n := v.(type) {
	case int32:
		return int64(n)
	case int64:
		return n
	case uint32:
		return int64(n)
	default:
		return 0
	}
}
