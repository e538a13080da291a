package cloudhead

import (
	"context"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

// attachTokens serves the node for tokens. The receiver attached last gets the answers.
func (p *peer) attachTokens(l *amqp.Link) amqp.Terms {
	terms := amqp.Terms{SenderMode: amqp.SenderMixed, MaxMessageSize: maxMessage}
	if l.ClientSends {
		terms.Credit, terms.Deliver = credit, p.tokenRequest
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

// tokenRequest settles and answers. Unlike the edge hub the cloud refuses a wrong
// signature here.
func (p *peer) tokenRequest(_ context.Context, d *amqp.Delivery) {
	d.Settle(&amqp.Accepted{})
	var m amqp.Message
	status, text := int32(400), "the request cannot be read"
	if err := m.Unmarshal(d.Data); err == nil {
		status, text = p.judge(&m)
	}
	p.mu.Lock()
	p.admitted = status == 200
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
		_ = answers.Send(&amqp.Outgoing{Data: data}) // a client that takes no answers loses them
	}
}

func (p *peer) judge(m *amqp.Message) (status int32, text string) {
	property := func(key string) string {
		v, _ := m.ApplicationProperties.Get(key)
		s, _ := v.(string)
		return s
	}
	token := ""
	if m.Value.Set {
		token, _ = m.Value.Value.(string)
	}
	if property("operation") != "put-token" || !strings.HasSuffix(property("type"), ":sastoken") {
		return 400, "operation must be put-token, type one of a shared access signature"
	}
	if err := p.server.hub.CheckService(token, p.server.hosts...); err != nil {
		return 401, err.Error()
	}
	return 200, "OK"
}
