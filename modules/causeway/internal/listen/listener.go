package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Handler is what stands above the listeners.
type Handler interface {
	// Stream is called once for a new stream link, in a goroutine of the link. What it
	// returns owns the link until its Serve says that the link has ended; the link is
	// closed then. Nil refuses it.
	Stream(link *Link) Talk
	// Peer is called once for a new UDP peer, in the read loop; it must not block.
	// Nil refuses the peer.
	Peer(link *Link) Receiver
}

// Receiver takes what one UDP peer sends. Its methods are called in the read
// loop of the listener, never concurrently, and must not block.
type Receiver interface {
	// Datagram is called for each datagram; b is borrowed until it returns.
	Datagram(b []byte, at time.Time)
	// Gone is called exactly once, with the link's reason, when the peer was
	// silent for too long, its link was closed, or the listener closes. No
	// Datagram follows.
	Gone(reason string)
}

// Listener is one bound address. Its methods are safe for concurrent use.
type Listener struct {
	opts    Options
	stream  net.Listener // tcp, tls
	packets *peerTable   // udp
	queues  sync.Pool    // *[]byte: send queues, held by a link only while it has something to write

	mu        sync.Mutex
	links     map[*Link]struct{}
	addresses map[netip.Addr]int
	accepting bool
	closed    bool
	done      chan struct{}  // closed by Close
	serving   sync.WaitGroup // stream links

	streams context.Context //nolint:containedctx // of the stream links; set before the first
	resting resting
}

// keepAlive finds dead connections within about two and a half minutes without
// costing a sleeping device more than a packet a minute.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 6}
}

// Open binds the address. The error names it.
func Open(o Options) (*Listener, error) {
	full, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", o.Name, err)
	}
	l := &Listener{
		opts:      full,
		links:     make(map[*Link]struct{}),
		addresses: make(map[netip.Addr]int),
		accepting: true,
		done:      make(chan struct{}),
	}
	l.resting.links = make(map[uint64]rest)
	if full.Network == "udp" {
		err = l.bindPackets()
	} else {
		config := net.ListenConfig{KeepAliveConfig: keepAlive()}
		l.stream, err = config.Listen(context.Background(), "tcp", full.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("listener %q: bind %s://%s: %w", o.Name, o.Network, o.Address, err)
	}
	return l, nil
}

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr {
	if l.packets != nil {
		return l.packets.conn.LocalAddr()
	}
	return l.stream.Addr()
}

// Links returns how many links there are, those still in their handshake included.
func (l *Listener) Links() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.links)
}

// Serve accepts links until Close is called or ctx is done. It returns nil, after
// every link has ended. It is called once.
func (l *Listener) Serve(ctx context.Context, h Handler) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = l.Close()
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	if l.packets != nil {
		l.packets.serve(h)
		return nil
	}
	var cancel context.CancelFunc
	l.streams, cancel = context.WithCancel(ctx)
	defer cancel()
	end := l.resting.begin()
	l.accept(h)
	<-l.done
	cancel()
	l.serving.Wait()
	end()
	return nil
}

// StopAccepting refuses new links from now on; existing ones go on. New
// connections are refused by the system, since the listening socket is closed.
func (l *Listener) StopAccepting() {
	l.mu.Lock()
	l.accepting = false
	l.mu.Unlock()
	if l.stream != nil {
		_ = l.stream.Close()
	}
}

// Close ends the listener and closes its links, with ReasonListener; it does not
// wait for them, Serve does. It is idempotent.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed, l.accepting = true, false
	close(l.done)
	links := make([]*Link, 0, len(l.links))
	for k := range l.links {
		links = append(links, k)
	}
	l.mu.Unlock()
	for _, k := range links {
		k.Close(ReasonListener)
	}
	if l.packets != nil {
		return l.packets.conn.Close()
	}
	_ = l.stream.Close() // the second time after StopAccepting
	return nil
}

// enter makes a link and counts it, or returns why it may not be.
func (l *Listener) enter(k *Link) (refused string) {
	if !l.opts.Shared.acquire() {
		return RefusedShared
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.accepting:
		refused = RefusedDraining
	case len(l.links) >= l.opts.Connections:
		refused = RefusedConnections
	default:
		k.id = l.opts.Shared.ids.Add(1)
		l.links[k] = struct{}{}
		return ""
	}
	l.opts.Shared.release()
	return refused
}

// admit judges the device's own address, once it is known, and counts it.
func (l *Listener) admit(k *Link) (refused string) {
	addr := k.peer.Remote.Addr()
	if len(l.opts.Allow) > 0 && !containsAddr(l.opts.Allow, addr) {
		return RefusedAllowList
	}
	if l.opts.Barred != nil && l.opts.Barred(addr) {
		return RefusedBarred
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[addr] >= l.opts.PerAddress {
		return RefusedPerAddress
	}
	l.addresses[addr]++
	k.admitted = true
	return ""
}

// leave takes back what enter and admit counted.
func (l *Listener) leave(k *Link) {
	l.mu.Lock()
	if k.admitted {
		addr := k.peer.Remote.Addr()
		if l.addresses[addr]--; l.addresses[addr] == 0 {
			delete(l.addresses, addr)
		}
	}
	delete(l.links, k)
	l.mu.Unlock()
	l.opts.Shared.release()
}
