package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// datagramBytes is the largest datagram.
	datagramBytes = 64 << 10
	// maxHeld bounds the datagrams that are on their way; more are lost, as in a
	// router whose queue is full.
	maxHeld = 4096
)

// UDP forwards datagrams to its target and back. Each client gets a socket of its
// own, so the target sees as many peers as there are clients.
type UDP struct {
	*forecast
	conn    *net.UDPConn
	running sync.WaitGroup

	links  sync.Mutex
	closed bool
	target string
	peers  map[netip.AddrPort]*net.UDPConn
	held   map[*time.Timer]struct{}
}

// ListenUDP opens a proxy on a free port of 127.0.0.1, see ListenTCP.
func ListenUDP(target string, seed uint64) (*UDP, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return nil, fmt.Errorf("udp proxy: %w", err)
	}
	p := &UDP{
		forecast: newForecast(seed), conn: conn, target: target,
		peers: map[netip.AddrPort]*net.UDPConn{}, held: map[*time.Timer]struct{}{},
	}
	p.running.Go(p.receive)
	return p, nil
}

// Addr is where the proxy listens.
func (p *UDP) Addr() string { return p.conn.LocalAddr().String() }

// Target changes where datagrams go. Every client gets a new socket, as behind a
// router that was started again.
func (p *UDP) Target(addr string) {
	p.links.Lock()
	defer p.links.Unlock()
	p.target = addr
	p.forget()
}

// Set changes the weather of all datagrams.
func (p *UDP) Set(w Weather) { p.set(w) }

// Rebind gives every client a new socket: the target sees new peers.
func (p *UDP) Rebind() {
	p.links.Lock()
	defer p.links.Unlock()
	p.forget()
}

// forget closes the sockets of all clients. Caller holds links.
func (p *UDP) forget() {
	for client, server := range p.peers {
		_ = server.Close() // ends its goroutine
		delete(p.peers, client)
	}
}

// Close loses what is on its way and returns when nothing of the proxy runs any more.
func (p *UDP) Close() error {
	p.links.Lock()
	p.closed = true
	p.forget()
	for timer := range p.held {
		if timer.Stop() {
			p.running.Done()
		}
	}
	err := p.conn.Close()
	p.links.Unlock()
	p.running.Wait()
	return err
}

// receive takes what clients send.
func (p *UDP) receive() {
	buf := make([]byte, datagramBytes)
	for {
		n, client, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP message of a client that has gone
		}
		p.forward(buf[:n], func(b []byte) {
			if server := p.peer(client); server != nil {
				_, _ = server.Write(b) // a datagram may be lost
			}
		})
	}
}

// forward sends a datagram on when its time has come, unless it is lost.
func (p *UDP) forward(b []byte, send func([]byte)) {
	delay, lost := p.datagram()
	if lost {
		return
	}
	if delay == 0 {
		send(b)
		return
	}
	own := append([]byte(nil), b...)
	p.links.Lock()
	defer p.links.Unlock()
	if p.closed || len(p.held) >= maxHeld {
		return
	}
	p.running.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		defer p.running.Done()
		p.links.Lock() // not before timer is written
		delete(p.held, timer)
		p.links.Unlock()
		send(own)
	})
	p.held[timer] = struct{}{}
}

// peer returns the client's socket towards the target, nil when there can be none.
func (p *UDP) peer(client netip.AddrPort) *net.UDPConn {
	p.links.Lock()
	defer p.links.Unlock()
	if server := p.peers[client]; server != nil {
		return server
	}
	target, err := netip.ParseAddrPort(p.target)
	if err != nil || p.closed || len(p.peers) >= maxLinks {
		return nil
	}
	server, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return nil
	}
	p.peers[client] = server
	p.running.Go(func() { p.back(server, client) })
	return server
}

// back carries what the target answers to one client.
func (p *UDP) back(server *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, datagramBytes)
	for {
		n, err := server.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // nobody listens at the target; the next datagram may be answered
		}
		p.forward(buf[:n], func(b []byte) {
			_, _ = p.conn.WriteToUDPAddrPort(b, client) // a datagram may be lost
		})
	}
}
