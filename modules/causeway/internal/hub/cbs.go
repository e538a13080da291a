package hub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// errPutToken: the hub refused a token.
var errPutToken = errors.New("put token refused")

// cbs is the claims-based security node ($cbs): a pair of links that stays open
// for renewals. The hub answers 200 to any well-formed token and judges it at the
// first link attach (CbsNode.cs).
type cbs struct {
	tx tokenSender
	rx tokenReceiver

	turn chan struct{} // held by who puts a token: the answers come on one link
	next int

	over  sync.Once
	ended chan struct{} // closed when the hub has ended the links
}

// tokenSender and tokenReceiver are links as the node uses them.
type (
	tokenSender interface {
		Send(ctx context.Context, m *amqp.Message, o *amqp.SendOptions) error
	}
	tokenReceiver interface {
		Receive(ctx context.Context, o *amqp.ReceiveOptions) (*amqp.Message, error)
		AcceptMessage(ctx context.Context, m *amqp.Message) error
	}
)

// errNodeEnded ends a connection on which no token can be put any more.
var errNodeEnded = errors.New("hub ended the node for tokens")

func newCBS(ctx context.Context, s *amqp.Session) (*cbs, error) {
	tx, err := s.NewSender(ctx, "$cbs", &amqp.SenderOptions{Name: "cbs-sender"})
	if err != nil {
		return nil, fmt.Errorf("attach cbs sender: %w", err)
	}
	rx, err := s.NewReceiver(ctx, "$cbs", &amqp.ReceiverOptions{Name: "cbs-receiver"})
	if err != nil {
		return nil, fmt.Errorf("attach cbs receiver: %w", err)
	}
	return newNode(tx, rx), nil
}

func newNode(tx tokenSender, rx tokenReceiver) *cbs {
	return &cbs{tx: tx, rx: rx, turn: make(chan struct{}, 1), ended: make(chan struct{})}
}

// watch returns errNodeEnded once a token could not be put since the links have ended, or when
// ctx ends.
func (c *cbs) watch(ctx context.Context) error {
	select {
	case <-c.ended:
		return errNodeEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost notes that the links have ended, if that is what went wrong.
func (c *cbs) lost(err error) error {
	_, link := errors.AsType[*amqp.LinkError](err)
	_, session := errors.AsType[*amqp.SessionError](err)
	if link || session {
		c.over.Do(func() { close(c.ended) })
		return fmt.Errorf("%w: %w", errNodeEnded, err)
	}
	return err
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
	if err := c.ask(ctx, id, audience, token); err != nil {
		return fmt.Errorf("put token: %w", c.lost(err))
	}
	status, text, err := c.answer(ctx, id)
	if err != nil {
		return fmt.Errorf("put token: %w", c.lost(err))
	}
	if status/100 != 2 {
		return fmt.Errorf("%w: status %d: %s", errPutToken, status, text)
	}
	return nil
}

func (c *cbs) ask(ctx context.Context, id, audience, token string) error {
	to, replyTo := "$cbs", "cbs"
	return c.tx.Send(ctx, &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: id, To: &to, ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{
			"operation": "put-token",
			"type":      "servicebus.windows.net:sastoken",
			"name":      audience,
		},
		Value: token,
	}, nil)
}

// answer waits for the answer to the request of that id, and passes over those to earlier ones
// that were given up.
func (c *cbs) answer(ctx context.Context, id string) (status int64, text string, err error) {
	for {
		m, err := c.rx.Receive(ctx, nil)
		if err != nil {
			return 0, "", err
		}
		if err := c.rx.AcceptMessage(ctx, m); err != nil {
			return 0, "", err
		}
		if m.Properties != nil && m.Properties.CorrelationID == any(id) {
			text, _ = m.ApplicationProperties["status-description"].(string)
			return number(m.ApplicationProperties["status-code"]), text, nil
		}
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
