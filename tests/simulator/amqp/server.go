package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Handler is what a server's owner does with connections and links. Its methods are
// called from the goroutines of the connection; those of one connection never
// overlap, but Attach may overlap with the callbacks of Terms and Outgoing.
type Handler interface {
	// Connected is called when both opens have been exchanged. An error refuses the
	// connection: an *Error is sent as it is, any other as an internal error.
	Connected(c *Conn) error
	// Attach is called for each link that a client wants. It may take its time, the
	// connection waits. An error refuses the link, as with Connected. ctx ends with
	// the connection.
	Attach(ctx context.Context, l *Link) (Terms, error)
	// Disconnected is called once for each connection that was Connected, after the
	// Detached of all its links.
	Disconnected(c *Conn)
}

// Delayer is a Handler that lets some links wait: their attach is answered later, and
// meanwhile the connection goes on.
type Delayer interface {
	// Delay is called for each link before Attach, which may be under way for another one,
	// and does not take its time. An error refuses the link.
	Delay(l *Link) (time.Duration, error)
}

// Terms are what a handler grants a link.
type Terms struct {
	// SenderMode and ReceiverMode are told to the client whatever it asked for.
	SenderMode   SenderSettleMode
	ReceiverMode ReceiverSettleMode
	// MaxMessageSize in bytes, zero for none. A greater message detaches the link.
	MaxMessageSize uint64
	// Credit is how many unsettled deliveries a sending client may have on its way.
	Credit uint32
	// Deliver is called for each message of a sending client, one at a time and in
	// order. It must call Settle on the delivery or let it stay without answer. ctx
	// ends with the connection.
	Deliver func(ctx context.Context, d *Delivery)
	// Detached, if not nil, is called once when the link is no more.
	Detached func()
}

// Server holds what all connections share. The zero value of every field but
// Handler is good.
type Server struct {
	Handler Handler
	// ContainerID is told in open; "server" if empty.
	ContainerID string
	// IdleTimeout is told to clients; a client silent for twice as long is closed.
	// 240 s if zero, which is what the edge hub says.
	IdleTimeout time.Duration
	// HandshakeTimeout bounds the time from accept to open; 60 s if zero.
	HandshakeTimeout time.Duration
	// CloseGrace is how long a closed connection waits for the client's close; 5 s if
	// zero.
	CloseGrace time.Duration
	// Plain judges SASL PLAIN; the mechanism is not offered if nil.
	Plain func(user, password string) error

	// acceptPause is slept after a failed accept, which is mostly a lack of file
	// descriptors; tests shorten it.
	acceptPause time.Duration
}

// The limits that open tells, edge hub values.
const (
	maxFrame   = 65536
	channelMax = 8191
	handleMax  = 262143
	window     = 5000
)

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Serve accepts connections until ctx ends or the listener is closed, then closes
// what is open and returns when all of it has ended. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			conns.Go(func() { _ = s.ServeConn(ctx, nc) })
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		default:
			select {
			case <-ctx.Done():
			case <-time.After(or(s.acceptPause, 50*time.Millisecond)):
			}
		}
	}
}

// ServeConn serves one connection until it has ended and closes it. It returns nil
// when it ended by close frames, otherwise what went wrong. When ctx ends the
// client is told to come back later.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConn(ctx, s, nc)
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, c.shutdown)
	defer stop()
	if err := c.handshake(); err != nil {
		return fmt.Errorf("amqp handshake with %s: %w", nc.RemoteAddr(), err)
	}
	return c.run()
}
