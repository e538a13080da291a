package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLinks bounds the connections and the peers of a proxy: far more than any
	// test has devices.
	maxLinks = 4096
	// pieceBytes is what one direction of a connection holds; the rest waits in the
	// sender's socket.
	pieceBytes = 16 << 10
	// dialTimeout: on loopback a server answers at once, or is not there.
	dialTimeout = 5 * time.Second
)

// TCP forwards connections to its target.
type TCP struct {
	*forecast
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup

	links  sync.Mutex
	target string
	open   map[*pair]struct{}
}

// ListenTCP opens a proxy on a free port of 127.0.0.1. The seed makes its dice fall
// the same way again, for the same traffic.
func ListenTCP(target string, seed uint64) (*TCP, error) {
	ctx, end := context.WithCancel(context.Background())
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		end()
		return nil, fmt.Errorf("tcp proxy: %w", err)
	}
	p := &TCP{
		forecast: newForecast(seed), listener: l, ctx: ctx, end: end, target: target, open: map[*pair]struct{}{},
	}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *TCP) Addr() string { return p.listener.Addr().String() }

// Target changes where new connections go.
func (p *TCP) Target(addr string) {
	p.links.Lock()
	defer p.links.Unlock()
	p.target = addr
}

// Set changes the weather of all connections.
func (p *TCP) Set(w Weather) { p.set(w) }

// Cut lets a share of the connections, 0 to 1, break: in the middle of the next
// piece that the client sends, with a reset to both sides. It returns how many.
func (p *TCP) Cut(share float64) (n int) {
	for _, c := range p.pairs() {
		if float64(p.below(1000)) < share*1000 {
			c.cut.Store(true)
			n++
		}
	}
	return n
}

// Reset breaks all connections at once and returns how many there were.
func (p *TCP) Reset() int {
	list := p.pairs()
	for _, c := range list {
		c.reset()
	}
	return len(list)
}

// Close breaks all connections and returns when nothing of the proxy runs any more.
func (p *TCP) Close() error {
	p.end()
	err := p.listener.Close()
	p.Reset()
	p.running.Wait()
	return err
}

func (p *TCP) pairs() []*pair {
	p.links.Lock()
	defer p.links.Unlock()
	list := make([]*pair, 0, len(p.open))
	for c := range p.open {
		list = append(list, c)
	}
	return list
}

func (p *TCP) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve is the life of one connection. A server that is not there is a reset.
func (p *TCP) serve(client net.Conn) {
	p.links.Lock()
	target, full := p.target, len(p.open) >= maxLinks
	p.links.Unlock()
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil || full {
		_ = abort(client)
		if err == nil {
			_ = abort(server)
		}
		return
	}
	c := &pair{proxy: p, client: client, server: server, gone: make(chan struct{})}
	p.links.Lock()
	p.open[c] = struct{}{}
	p.links.Unlock()
	defer func() {
		p.links.Lock()
		delete(p.open, c)
		p.links.Unlock()
	}()
	if p.ctx.Err() != nil { // closed between dial and here
		c.reset()
	}
	var down sync.WaitGroup
	down.Go(func() { c.pump(client, server, false) })
	c.pump(server, client, true)
	down.Wait()
	c.reset()
}

// pair is a connection of a client and its own to the server.
type pair struct {
	proxy          *TCP
	client, server net.Conn
	cut            atomic.Bool
	once           sync.Once
	gone           chan struct{}
}

// pump carries one direction until it ends.
func (c *pair) pump(to, from net.Conn, up bool) {
	buf := make([]byte, pieceBytes)
	for {
		n, err := from.Read(buf)
		if !c.hold() {
			return
		}
		if up && n > 0 && c.cut.Load() {
			_, _ = to.Write(buf[:c.proxy.below(n)]) // the connection ends either way
			c.reset()
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil {
			c.reset()
			return
		}
		if errors.Is(err, io.EOF) {
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite() // it may be closed already
			}
			return
		}
		if err != nil {
			c.reset()
			return
		}
	}
}

// hold waits as the weather wants. It returns false when the connection has ended.
func (c *pair) hold() bool {
	timer := time.NewTimer(c.proxy.delay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.gone:
		return false
	}
	for {
		w, changed := c.proxy.get()
		if !w.Stall {
			return true
		}
		select {
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

// reset ends both sides without a goodbye.
func (c *pair) reset() {
	c.once.Do(func() {
		close(c.gone)
		_ = errors.Join(abort(c.client), abort(c.server)) // they end either way
	})
}

func abort(conn net.Conn) error {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset, as of a host that has gone
	}
	return conn.Close()
}
