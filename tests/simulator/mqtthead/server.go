package mqtthead

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// Options are what tests scale. The zero value is the real hub's behaviour.
type Options struct {
	// Strict ends the connection where the real hub acknowledges a publish and loses it:
	// a topic or properties that it cannot read, a message that is too large; and where a
	// client publishes in the name of another, which the real hub lets pass.
	Strict bool
	// Swallowed, if not nil, is told what was lost that way. It must not block.
	Swallowed func(id edge.Identity, reason error)
	// Keep holds subscriptions of sessions that are not clean; nil keeps them in memory.
	Keep Keeper
	// ConnectTimeout is the time from accept to CONNECT; 60 s if zero.
	ConnectTimeout time.Duration
	// Now is the clock (time.Now).
	Now func() time.Time
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
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards that nothing is served once Close waits
	serves sync.WaitGroup
	memory memory
}

// New returns a head for the hub. Nothing runs before Serve or ServeConn.
func New(head edge.Head, opts Options) *Server {
	if opts.ConnectTimeout == 0 {
		opts.ConnectTimeout = time.Minute
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Swallowed == nil {
		opts.Swallowed = func(edge.Identity, error) {}
	}
	s := &Server{head: head, opts: opts}
	if opts.Keep == nil {
		s.opts.Keep = &s.memory
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// errClosed is a head that was closed.
var errClosed = errors.New("the mqtt head is closed")

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.serves.Add(1)
	return true
}

// acceptPause follows a failed accept, which is mostly a lack of file descriptors.
const acceptPause = 50 * time.Millisecond

// Serve accepts connections of l, which speaks TLS already, until ctx ends, l is closed or
// Close is called. It closes l and returns when the last connection is gone.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.enter() {
		return errClosed
	}
	defer s.serves.Done()
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			conns.Go(func() { _ = s.ServeConn(ctx, nc) })
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		default:
			pause(ctx, acceptPause)
		}
	}
}

// ServeConn serves one connection until it has ended and closes it. It returns nil after a
// DISCONNECT, otherwise what ended it. A certificate is seen on a connection that has a
// ConnectionState, as those of crypto/tls have.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	if !s.enter() {
		return errors.Join(errClosed, nc.Close())
	}
	defer s.serves.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(s.ctx, func() { cancel(errClosed) })()
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = nc.Close()
	})
	defer func() {
		cancel(nil)
		<-closed
	}()
	return newClient(s, nc, cancel).serve(ctx)
}

// Close ends every connection and waits for it. A Server that is closed stays closed.
func (s *Server) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.serves.Wait()
	return nil
}

// memory is the Keeper of a head that was given none.
type memory struct {
	mu   sync.Mutex
	docs map[string]subscriptions
}

// Load implements Keeper for what Save was given.
func (m *memory) Load(name string, doc any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, ok := m.docs[name]
	if into, fits := doc.(*subscriptions); ok && fits {
		*into = kept.clone()
	}
	return ok, nil
}

// Save implements Keeper.
func (m *memory) Save(name string, doc any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs == nil {
		m.docs = map[string]subscriptions{}
	}
	if from, fits := doc.(*subscriptions); fits {
		m.docs[name] = from.clone()
	}
	return nil
}

// pause waits and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
