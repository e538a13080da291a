package amqp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/tcp"
)

// Bounds of one connection. A client that meets them is a broken or hostile one.
const (
	// maxQueued is how many bytes of complete messages may wait for their links
	// before the socket is no longer read: some tens of the biggest messages.
	maxQueued = 32 << 20
	// maxPartial is how many bytes of messages that are not complete may be held.
	maxPartial = 32 << 20
	// maxOut stops transfers when that much waits to be written, maxReplies stops
	// reading as well: what is written then are answers.
	maxOut     = 1 << 20
	maxReplies = 4 << 20
	// maxEvents stops reading while so many callbacks wait for a slow handler.
	maxEvents = 4 * maxLinks
	// writeTimeout ends a connection whose client has stopped reading.
	writeTimeout = 30 * time.Second
	// drainGrace is how long the messages that came before an orderly close are still
	// handled.
	drainGrace = 2 * time.Second
)

// Conn is one client's connection.
type Conn struct {
	// Owner is for the Handler's use: set it in Connected.
	Owner any

	srv            *Server
	net            net.Conn
	in             *frameReader // the reader's
	remote         Open
	user, password string
	idle           time.Duration
	maxPayload     int // of our frames, by the client's max-frame-size
	ctx            context.Context
	cancel         context.CancelFunc
	workers        sync.WaitGroup
	opened         bool       // set before the goroutines start
	attaching      sync.Mutex // held while the handler judges a link; mu is not

	// The rest is under mu.
	mu        sync.Mutex
	room      *sync.Cond // reader waits for what it reads to be dealt with
	sessions  map[uint16]*session
	out       []byte
	wake      chan struct{} // one place: the writer has something to do
	stalled   bool          // a transfer waits for out to shrink
	deaf      bool          // the writer has ended
	queued    int
	partial   int
	closing   chan struct{} // closed when we or the client said close
	isClosing bool
	orderly   bool          // the client said close, nothing was wrong
	links     int           // handles in use
	events    []func()      // what callbacks are to be told, in order
	bell      chan struct{} // one place: there are events
}

func newConn(ctx context.Context, s *Server, nc net.Conn) *Conn {
	c := &Conn{
		srv: s, net: nc, in: newFrameReader(nc, maxFrame),
		idle:     or(s.IdleTimeout, 240*time.Second),
		sessions: map[uint16]*session{},
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		bell:     make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.room = sync.NewCond(&c.mu)
	return c
}

// RemoteOpen returns what the client said in open.
func (c *Conn) RemoteOpen() Open { return c.remote }

// Plain returns user and password of SASL PLAIN, empty for other mechanisms.
func (c *Conn) Plain() (user, password string) { return c.user, c.password }

// NetConn returns the transport, for its addresses and TLS state only.
func (c *Conn) NetConn() net.Conn { return c.net }

// Close says close, with the error if there is one, and returns at once. The
// connection ends when the client has answered or the grace is over. Any number of
// calls from any goroutine are fine; the first one speaks.
func (c *Conn) Close(err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(err, false)
}

func (c *Conn) closeLocked(err *Error, orderly bool) {
	if c.isClosing {
		return
	}
	c.emit(0, &Close{Err: err})
	c.isClosing, c.orderly = true, orderly
	close(c.closing)
	c.room.Broadcast()
	_ = c.net.SetReadDeadline(time.Now().Add(or(c.srv.CloseGrace, 5*time.Second)))
}

// Ended is closed when either side has said close or the transport has failed, before
// any link is told that it is detached because of that.
func (c *Conn) Ended() <-chan struct{} { return c.closing }

// pause waits and returns false if the connection ended first.
func (c *Conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.closing:
	case <-c.ctx.Done():
	}
	return false
}

// Drop cuts the transport without a word, as a failing network does.
func (c *Conn) Drop() { tcp.Reset(c.net) }

// shutdown is called when the server ends.
func (c *Conn) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opened {
		_ = c.net.Close()
		return
	}
	c.closeLocked(&Error{Condition: CondDetachForced, Description: "Server busy, please retry operation"}, false)
}

// run owns the connection after the handshake.
func (c *Conn) run() error {
	c.maxPayload = int(min(c.remote.MaxFrame, maxFrame))
	c.mu.Lock()
	c.opened = true
	c.mu.Unlock()
	connectErr := c.srv.Handler.Connected(c)
	if connectErr != nil {
		c.Close(asError(connectErr))
	}
	quit, written, readErr := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { defer close(written); c.write(quit) }()
	go func() { readErr <- c.read() }()

	var err error
	ended, closing := false, false
	for !ended && !closing {
		c.runEvents()
		select {
		case err = <-readErr:
			ended = true
		case <-c.closing:
			closing = true
		case <-c.bell:
		}
	}
	c.teardown()
	if !ended {
		err = <-readErr
	}
	c.runEvents()
	if connectErr == nil {
		c.srv.Handler.Disconnected(c)
	}
	close(quit)
	<-written
	return errors.Join(connectErr, err)
}

// post has f called by the connection's own goroutine. The caller holds mu.
func (c *Conn) post(f func()) {
	c.events = append(c.events, f)
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

func (c *Conn) runEvents() {
	for {
		c.mu.Lock()
		events := c.events
		c.events = nil
		c.room.Broadcast()
		c.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, f := range events {
			f()
		}
	}
}

// teardown ends all links and waits for those who work on them.
func (c *Conn) teardown() {
	c.mu.Lock()
	orderly := c.orderly
	var gone []*Link
	for _, s := range c.sessions {
		gone = append(gone, s.dropLinks()...)
	}
	c.sessions = map[uint16]*session{}
	if !c.isClosing { // the transport failed
		c.isClosing = true
		close(c.closing)
	}
	c.room.Broadcast()
	c.mu.Unlock()
	if orderly {
		stop := time.AfterFunc(drainGrace, c.cancel)
		defer stop.Stop()
	} else {
		c.cancel()
	}
	c.workers.Wait()
	c.cancel()
	c.runEvents()
	for _, l := range gone {
		l.farewell()
	}
}

// read handles frames until the client says close or the transport fails.
func (c *Conn) read() error {
	defer func() {
		c.mu.Lock()
		c.room.Broadcast()
		c.mu.Unlock()
	}()
	for {
		c.arm()
		channel, p, err := c.nextPerformative()
		if err == nil {
			done, err := c.handle(channel, p)
			if err != nil {
				c.linger()
			}
			if done {
				return err
			}
			continue
		}
		var wrong *Error
		switch {
		case errors.As(err, &wrong):
			c.Close(wrong)
			c.linger()
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.Close(&Error{Condition: CondResourceLimit, Description: "local-idle-timeout expired"})
		}
		return err
	}
}

// nextPerformative returns nil for a heartbeat. An *Error is what to tell the client.
func (c *Conn) nextPerformative() (channel uint16, p any, err error) {
	kind, channel, body, err := c.in.next()
	if err == nil && kind != frameAMQP {
		err = malformed("frame of type %d after open", kind)
	}
	if errors.Is(err, ErrMalformed) {
		return 0, nil, &Error{Condition: CondFraming, Description: err.Error()}
	}
	if err != nil || len(body) == 0 {
		return 0, nil, err
	}
	if p, err = parseBody(body); err != nil {
		return 0, nil, &Error{Condition: CondDecode, Description: err.Error()}
	}
	return channel, p, nil
}

// linger reads on after an error was told, until the client hangs up or the grace is
// over: to close a socket that holds unread bytes would cut off what was told.
func (c *Conn) linger() { _, _ = io.Copy(io.Discard, c.in.in) }

// arm sets the deadline of the next read, unless close has set one.
func (c *Conn) arm() {
	if c.in.in.Buffered() > c.in.read {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isClosing {
		_ = c.net.SetReadDeadline(time.Now().Add(2 * c.idle))
	}
}

// handle takes one performative; nil is a heartbeat. It returns true at the end, with
// the error that the client was told if there is one.
func (c *Conn) handle(channel uint16, p any) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := p.(*Close); ok {
		c.closeLocked(nil, true)
		return true, nil
	}
	if p == nil || c.isClosing {
		return false, nil
	}
	if refusal := c.dispatch(channel, p); refusal != nil {
		c.closeLocked(refusal, false)
		return true, refusal
	}
	for !c.isClosing && !c.deaf && c.behind() {
		c.room.Wait()
	}
	if c.partial > maxPartial {
		refusal := &Error{Condition: CondResourceLimit, Description: "too many bytes of unfinished messages"}
		c.closeLocked(refusal, false)
		return true, refusal
	}
	return false, nil
}

// behind tells whether what has been read should be dealt with first.
func (c *Conn) behind() bool {
	return c.queued > maxQueued || len(c.out) > maxReplies || len(c.events) > maxEvents
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Condition: CondInternal, Description: err.Error()}
}
