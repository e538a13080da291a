package amqphead

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// Options are what tests scale. The zero value is the real hub's behaviour.
type Options struct {
	// AckTimeout is how long a module input message may stay without an outcome; 30 s
	// if zero (MessageAckTimeoutSecs).
	AckTimeout time.Duration
	// IdleTimeout is told to clients in open; 240 s if zero.
	IdleTimeout time.Duration
	// CloseGrace is how long a connection that the hub closes waits for the client's
	// close; 5 s if zero.
	CloseGrace time.Duration
	// IoTHub is the hub's host name; users of SASL PLAIN must name its first label. Empty
	// takes any name.
	IoTHub string
	// Cloud is IoT Hub in place of an edge hub: a token that does not hold is refused where it
	// is put, desired properties are subscribed to by a request, and requests about the
	// twin name their resource.
	Cloud bool
}

// certified is a transport that knows its peer's certificates.
type certified interface{ ConnectionState() tls.ConnectionState }

// certifier is a hub that also judges certificates.
type certifier interface {
	AuthenticateCertificate(id edge.Identity, chain []*x509.Certificate) error
}

// Server is the head. Make it with New.
type Server struct {
	head   edge.Head
	opts   Options
	engine *amqp.Server
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards that nothing is served once Close waits
	serves sync.WaitGroup
}

// errClosed is a head that was closed.
var errClosed = errors.New("the amqp head is closed")

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.serves.Add(1)
	return true
}

// New returns a head for the hub. Nothing runs before Serve.
func New(head edge.Head, opts Options) *Server {
	if opts.AckTimeout == 0 {
		opts.AckTimeout = 30 * time.Second
	}
	s := &Server{head: head, opts: opts}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.engine = &amqp.Server{
		Handler:     s,
		ContainerID: "DeviceGateway_" + newGUID(),
		IdleTimeout: opts.IdleTimeout,
		CloseGrace:  opts.CloseGrace,
		Plain:       func(user, password string) error { _, err := s.plain(user, password); return err },
	}
	return s
}

// Serve accepts connections of l, which speaks TLS already, until ctx ends, l is
// closed or Close is called. Clients are then told "Server busy, please retry
// operation"; Serve returns when the last is gone.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.enter() {
		return errors.Join(errClosed, l.Close())
	}
	defer s.serves.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	return s.engine.Serve(ctx, l)
}

// ServeConn serves one connection, of whatever transport, until it has ended and closes it.
// A certificate is seen on one that has a ConnectionState, as those of crypto/tls have.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	if !s.enter() {
		return errors.Join(errClosed, nc.Close())
	}
	defer s.serves.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	return s.engine.ServeConn(ctx, nc)
}

// Close ends every Serve and waits for it. A Server that is closed stays closed.
func (s *Server) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.serves.Wait()
	return nil
}

// plain reads "<device>[/modules/<module>]@[sas.]<hub>" and judges the password, a
// token.
func (s *Server) plain(user, token string) (edge.Identity, error) {
	name, hub, ok := strings.Cut(user, "@")
	parts := strings.Split(name, "/")
	id := edge.Identity{Device: parts[0]}
	switch {
	case !ok || id.Device == "":
		return id, fmt.Errorf("user name %.128q: not of the form <device>[/modules/<module>]@<hub>", user)
	case len(parts) == 3 && strings.EqualFold(parts[1], "modules"):
		id.Module = parts[2]
	case len(parts) != 1:
		return id, fmt.Errorf("user name %.128q: not of the form <device>[/modules/<module>]@<hub>", user)
	}
	own, _, _ := strings.Cut(s.opts.IoTHub, ".")
	if hub = strings.TrimPrefix(hub, "sas."); own != "" && !strings.EqualFold(hub, own) {
		return id, fmt.Errorf("user name %.128q: the hub is %q", user, own)
	}
	return id, s.head.Authenticate(id, token)
}

// Connected implements amqp.Handler.
func (s *Server) Connected(c *amqp.Conn) error {
	p := &peer{
		server: s, conn: c,
		tokens:  map[edge.Identity]string{},
		clients: map[edge.Identity]*client{},
		coming:  map[edge.Identity]time.Time{},
	}
	if t, ok := c.NetConn().(certified); ok {
		p.certificates = t.ConnectionState().PeerCertificates
		p.noCBS = len(p.certificates) > 0
	}
	if user, token := c.Plain(); user != "" {
		id, err := s.plain(user, token)
		if err != nil {
			return &amqp.Error{Condition: amqp.CondUnauthorized, Description: err.Error()}
		}
		p.noCBS, p.tokens[id] = true, token
	}
	ctx, cancel := context.WithCancel(s.ctx)
	p.cancel = cancel
	p.running.Go(func() { p.reauthenticate(ctx) })
	c.Owner = p
	return nil
}

// Disconnected implements amqp.Handler.
func (s *Server) Disconnected(c *amqp.Conn) {
	p := c.Owner.(*peer)
	p.cancel()
	p.running.Wait()
}

// Delay implements amqp.Delayer.
func (s *Server) Delay(l *amqp.Link) (time.Duration, error) {
	k, id := classify(l.Address, l.ClientSends)
	if k == none {
		return 0, nil // Attach has a word for it
	}
	return l.Conn().Owner.(*peer).delay(id)
}

// Attach implements amqp.Handler.
func (s *Server) Attach(_ context.Context, l *amqp.Link) (amqp.Terms, error) {
	p := l.Conn().Owner.(*peer)
	if isCBS(l.Address) && !p.noCBS {
		return p.attachCBS(l), nil
	}
	k, id := classify(l.Address, l.ClientSends)
	if k == none {
		return amqp.Terms{}, &amqp.Error{
			Condition:   amqp.CondNotAllowed,
			Description: fmt.Sprintf("Matching template not found for link with address %.256q", l.Address),
		}
	}
	c, err := p.client(k, id)
	if err != nil {
		return amqp.Terms{}, err
	}
	return c.attach(k, l)
}

// refusalOf maps an error of the hub to what the real one says: its own condition,
// or what the caller takes for the rule.
func refusalOf(err error, condition amqp.Symbol, description string) *amqp.Error {
	var r *edge.Refusal
	if errors.As(err, &r) {
		return &amqp.Error{Condition: amqp.Symbol(r.Condition), Description: quoted(r.Description)}
	}
	return &amqp.Error{Condition: condition, Description: description}
}

// newGUID returns a random lower-case GUID.
func newGUID() string {
	var u amqp.UUID
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}
