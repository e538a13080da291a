package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/Azure/go-amqp"
)

// methodLinks is the pair of links that carries direct methods and their answers.
type methodLinks struct {
	desk *methodDesk
	tx   *amqp.Sender
	rx   *amqp.Receiver
}

func newMethodLinks(
	ctx context.Context, s *amqp.Session, id Identity, version, suffix string, desk *methodDesk,
) (*methodLinks, error) {
	props := linkProperties(version, "methods:"+newGUID())
	tx, rx, err := pair(ctx, s, id.address("/methods/devicebound"), "Methods", suffix, props)
	if err != nil {
		return nil, err
	}
	return &methodLinks{desk: desk, tx: tx, rx: rx}, nil
}

// serve answers every request, each in its own goroutine, and waits for them.
func (l *methodLinks) serve(ctx context.Context) error {
	defer l.desk.wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		msg, err := l.rx.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("receive method: %w", err)
		}
		if err := l.rx.AcceptMessage(ctx, msg); err != nil {
			return fmt.Errorf("settle method: %w", err)
		}
		name, _ := msg.ApplicationProperties["IoThub-methodname"].(string)
		l.desk.take(ctx, name, msg.GetData(), func(status int, answer json.RawMessage) {
			l.reply(ctx, msg, status, answer)
		})
	}
}

// reply sends an answer, which is lost when it cannot be sent.
func (l *methodLinks) reply(ctx context.Context, request *amqp.Message, status int, payload json.RawMessage) {
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
