package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/Azure/go-amqp"
)

const (
	// methodsAtOnce bounds the direct methods that run at the same time. Each may
	// wait minutes for a device; the hub itself does not serialise them.
	methodsAtOnce = 32
	// statusBusy answers what is over the bound.
	statusBusy = 429
)

// methodLinks is the pair of links that carries direct methods and their answers.
type methodLinks struct {
	hub *Hub
	tx  *amqp.Sender
	rx  *amqp.Receiver
}

func (c *connection) newMethodLinks(ctx context.Context) (*methodLinks, error) {
	id, props := c.hub.opts.Identity, c.properties("methods:"+newGUID())
	tx, rx, err := pair(ctx, c.session, id.address("/methods/devicebound"), "Methods", props)
	if err != nil {
		return nil, err
	}
	return &methodLinks{hub: c.hub, tx: tx, rx: rx}, nil
}

// serve answers every request, each in its own goroutine, and waits for them.
func (l *methodLinks) serve(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free := make(chan struct{}, methodsAtOnce)
	for {
		msg, err := l.rx.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("receive method: %w", err)
		}
		if err := l.rx.AcceptMessage(ctx, msg); err != nil {
			return fmt.Errorf("settle method: %w", err)
		}
		select {
		case free <- struct{}{}:
			running.Go(func() {
				defer func() { <-free }()
				l.answer(ctx, msg)
			})
		default:
			l.reply(ctx, msg, statusBusy, json.RawMessage(`{"error":"too many methods at once"}`))
		}
	}
}

func (l *methodLinks) answer(ctx context.Context, msg *amqp.Message) {
	name, _ := msg.ApplicationProperties["IoThub-methodname"].(string)
	status, payload := l.hub.opts.Handler.Method(ctx, name, msg.GetData())
	l.reply(ctx, msg, status, payload)
}

// reply sends an answer. One that cannot be sent is lost with its connection, and
// the hub tells the caller of the timeout.
func (l *methodLinks) reply(ctx context.Context, request *amqp.Message, status int, payload json.RawMessage) {
	if len(payload) == 0 {
		payload = json.RawMessage("null")
	}
	var id any
	if request.Properties != nil {
		id = request.Properties.CorrelationID
	}
	_ = l.tx.Send(ctx, &amqp.Message{
		Properties: &amqp.MessageProperties{CorrelationID: id},
		// Exactly int32: the hub takes any other type for a missing status.
		ApplicationProperties: map[string]any{"IoThub-status": int32(status)}, //nolint:gosec // a status has three digits
		Data:                  [][]byte{payload},
	}, nil)
}

// correlation returns the correlation id as text, "" for none.
func correlation(msg *amqp.Message) string {
	if msg.Properties == nil {
		return ""
	}
	switch id := msg.Properties.CorrelationID.(type) {
	case string:
		return id
	case amqp.UUID:
		return id.String()
	default:
		return ""
	}
}

// newGUID returns a random version 4 UUID.
func newGUID() string {
	var u amqp.UUID
	_, _ = rand.Read(u[:]) // never fails, see crypto/rand
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}
