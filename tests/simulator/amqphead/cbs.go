package amqphead

import (
	"context"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

// attachCBS serves the node for tokens. The receiver attached last gets the answers.
func (p *peer) attachCBS(l *amqp.Link) amqp.Terms {
	terms := amqp.Terms{SenderMode: amqp.SenderMixed, MaxMessageSize: maxMessage}
	if l.ClientSends {
		terms.Credit = credit
		terms.Deliver = p.tokenRequest
		return terms
	}
	p.mu.Lock()
	p.answers = l
	p.mu.Unlock()
	terms.Detached = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.answers == l {
			p.answers = nil
		}
	}
	return terms
}

// tokenRequest settles first and answers then. Without a receiver there is no
// answer. Nothing that is wrong with a token closes anything here.
func (p *peer) tokenRequest(_ context.Context, d *amqp.Delivery) {
	d.Settle(&amqp.Accepted{})
	var m amqp.Message
	status, text := int32(400), "the request cannot be read"
	if err := m.Unmarshal(d.Data); err == nil {
		status, text = p.judgeToken(&m)
	}
	p.mu.Lock()
	answers := p.answers
	p.mu.Unlock()
	if answers == nil {
		return
	}
	reply := amqp.Message{
		Properties: &amqp.Properties{},
		ApplicationProperties: amqp.Map{
			{Key: "status-code", Value: status},
			{Key: "status-description", Value: text},
		},
	}
	if m.Properties != nil {
		reply.Properties.CorrelationID = m.Properties.MessageID
	}
	if data, err := reply.Append(nil); err == nil {
		// A client that asks and never takes answers loses them.
		_ = answers.Send(&amqp.Outgoing{Data: data})
	}
}

// judgeToken checks the request in the real hub's order. Whose token it is says the
// token, not the name.
func (p *peer) judgeToken(m *amqp.Message) (status int32, text string) {
	property := func(key string) string {
		v, _ := m.ApplicationProperties.Get(key)
		s, _ := v.(string)
		return s
	}
	kind, token := property("type"), ""
	if m.Value.Set {
		token, _ = m.Value.Value.(string)
	}
	switch {
	case property("operation") != "put-token":
		return 400, "operation " + quoted(property("operation")) + " is not put-token"
	case !strings.EqualFold(kind, "azure-devices.net:sastoken") &&
		!strings.EqualFold(kind, "servicebus.windows.net:sastoken"):
		return 400, "token type " + quoted(kind) + " is not supported"
	case property("name") == "":
		return 400, "the request has no name"
	case token == "":
		return 400, "the request has no token"
	}
	id, _, err := p.server.head.CheckToken(token)
	switch {
	case err != nil && p.server.opts.Cloud:
		return 401, err.Error()
	case err != nil:
		return 400, err.Error()
	}
	if !p.putToken(id, token) {
		return 500, "too many identities on one connection"
	}
	return 200, "OK"
}
