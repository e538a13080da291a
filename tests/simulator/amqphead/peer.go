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
}

// client returns the identity's presence on this connection. The first link of an
// identity is where its token is verified.
func (p *peer) client(k kind, id edge.Identity) (*client, error) {
	p.mu.Lock()
	c, token := p.clients[id], p.tokens[id]
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
			current[id] = p.tokens[id]
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
