package amqphead

import (
	"context"
	"crypto/x509"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxIdentities bounds the tokens of one connection: the real hub takes a hundred
// clients in all by default, tests a thousand.
const maxIdentities = 10000

// peer is one connection and the identities on it.
type peer struct {
	server *Server
	conn   *amqp.Conn
	noCBS  bool // the transport has settled who it is
	// certificates are the client's, leaf first.
	certificates []*x509.Certificate
	cancel       context.CancelFunc
	running      sync.WaitGroup

	mu      sync.Mutex
	tokens  map[edge.Identity]string
	clients map[edge.Identity]*client
	answers *amqp.Link // of the last $cbs receiver
	// coming are identities whose first link waits, until when. It is bounded by links.
	coming map[edge.Identity]time.Time
}

// delay is how long a link of the identity waits. Further ones wait with its first.
func (p *peer) delay(id edge.Identity) (time.Duration, error) {
	p.mu.Lock()
	due, coming := p.coming[id]
	coming = coming && time.Now().Before(due)
	first := p.clients[id] == nil && !coming
	p.mu.Unlock()
	wait, err := p.server.head.Attach(id, first)
	if err != nil {
		return 0, refusalOf(err, amqp.CondInternal, err.Error())
	}
	if coming {
		return max(time.Until(due), wait), nil
	}
	if wait > 0 && first {
		p.mu.Lock()
		p.coming[id] = time.Now().Add(wait)
		p.mu.Unlock()
	}
	return wait, nil
}

// client returns the identity's presence on this connection. The first link of an
// identity is where its token is verified.
func (p *peer) client(k kind, id edge.Identity) (*client, error) {
	p.mu.Lock()
	c, token := p.clients[id], p.token(id)
	delete(p.coming, id)
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	refusal := &amqp.Error{
		Condition:   amqp.CondNotAllowed,
		Description: "Unable to open " + k.String() + " link as the connection could not be authenticated",
	}
	if token == "" && len(p.certificates) == 0 {
		return nil, refusal
	}
	if err := p.authenticate(id, token); err != nil {
		return nil, refusalOf(err, refusal.Condition, refusal.Description)
	}
	c = &client{peer: p, head: p.server.head, id: id, links: map[kind]*amqp.Link{}}
	p.mu.Lock()
	p.clients[id] = c
	p.mu.Unlock()
	c.leave = p.server.head.Connect(id, c)
	return c, nil
}

// token is the identity's own, or one for everybody. Caller holds mu.
func (p *peer) token(id edge.Identity) string {
	if own, ok := p.tokens[id]; ok {
		return own
	}
	return p.tokens[edge.Identity{}]
}

// authenticate judges the token, or without one the certificate of the connection.
func (p *peer) authenticate(id edge.Identity, token string) error {
	if judge, ok := p.server.head.(certifier); ok && token == "" {
		return judge.AuthenticateCertificate(id, p.certificates)
	}
	return p.server.head.Authenticate(id, token)
}

// putToken stores what CBS has judged.
func (p *peer) putToken(id edge.Identity, token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.tokens[id]; !known && len(p.tokens) >= maxIdentities {
		return false
	}
	p.tokens[id] = token
	return true
}

// reauthenticate judges the tokens of all clients again and again. One that no
// longer holds ends the whole connection.
func (p *peer) reauthenticate(ctx context.Context) {
	tick := time.NewTicker(max(p.server.head.ReauthInterval(), time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		current := map[edge.Identity]string{}
		for id := range p.clients {
			current[id] = p.token(id)
		}
		p.mu.Unlock()
		for id, token := range current {
			if ctx.Err() == nil && p.authenticate(id, token) != nil {
				p.conn.Close(nil)
				return
			}
		}
	}
}
