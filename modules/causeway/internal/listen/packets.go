package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// packetBuffer is the socket's receive buffer: a plain read loop lost nothing at
// 200,000 datagrams a second with 4 MiB, and 47 % at 50,000 with the default.
const packetBuffer = 4 << 20

// sendPatience bounds how long a datagram may wait for room in the socket's send
// buffer, in the cases where it has to wait at all (see sendPatiently).
const sendPatience = 10 * time.Millisecond

// Peers are looked through for silent ones four times in PeerIdle, within these
// bounds.
const (
	sweepMin = 10 * time.Millisecond
	sweepMax = time.Second
)

// peer is what the read loop knows of one remote address.
type peer struct {
	link     *Link
	receiver Receiver
	seen     time.Time
}

// peerTable is a UDP socket and its peers. The map belongs to the read loop.
type peerTable struct {
	listener *Listener
	conn     *net.UDPConn
	sender   *datagramSender
	peers    map[netip.AddrPort]*peer
	sweep    time.Duration

	mu      sync.Mutex
	closing []*Link // closed by their owners, not yet reaped
}

func (l *Listener) bindPackets() error {
	var config net.ListenConfig
	socket, err := config.ListenPacket(context.Background(), "udp", l.opts.Address)
	if err != nil {
		return err
	}
	conn, ok := socket.(*net.UDPConn)
	if !ok {
		return fmt.Errorf("socket is a %T", socket)
	}
	_ = conn.SetReadBuffer(packetBuffer) // best effort: the system's own limit may be lower
	sender, err := newDatagramSender(conn)
	if err != nil {
		_ = conn.Close()
		return err
	}
	l.packets = &peerTable{
		listener: l,
		conn:     conn,
		sender:   sender,
		peers:    make(map[netip.AddrPort]*peer),
		sweep:    min(max(l.opts.PeerIdle/4, sweepMin), sweepMax),
	}
	return nil
}

// serve is the read loop. Each peer that is left at its end is told that it is
// gone.
func (t *peerTable) serve(h Handler) {
	var pause backoff
	buffer := make([]byte, t.listener.opts.DatagramSize+1) // one more shows what is too large
	next := t.rearm(time.Now())
	for {
		n, from, err := t.conn.ReadFromUDPAddrPort(buffer)
		now := time.Now()
		switch {
		case err == nil:
			pause.reset()
			t.datagram(h, buffer[:n], unmap(from), now)
		case errors.Is(err, net.ErrClosed):
			t.removeAll()
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.rearm(now) // before reaping, so that a Close after it wakes the loop again
			t.reapClosed()
		default:
			t.listener.opts.Refused(RefusedAccept)
			pause.wait(t.listener.done)
		}
		if !now.Before(next) {
			next = t.rearm(now)
			t.reapClosed()
			t.removeIdle(now)
		}
	}
}

// rearm makes the read return at the next sweep, whose time it returns.
func (t *peerTable) rearm(now time.Time) time.Time {
	next := now.Add(t.sweep)
	_ = t.conn.SetReadDeadline(next)
	return next
}

func (t *peerTable) datagram(h Handler, b []byte, from netip.AddrPort, now time.Time) {
	if len(b) > t.listener.opts.DatagramSize {
		t.listener.opts.Refused(RefusedDatagramSize)
		return
	}
	p := t.peers[from]
	if p != nil && p.link.isClosed() { // its owner closed it, the device speaks again
		t.remove(p, "")
		p = nil
	}
	if p == nil {
		var refused string
		if p, refused = t.admit(h, from); refused != "" {
			t.listener.opts.Refused(refused)
			return
		}
	}
	p.seen = now
	p.receiver.Datagram(b, now)
}

// admit makes a peer of a new address. A live peer is never evicted for a new
// one, so a flood of forged addresses costs the devices at work nothing.
func (t *peerTable) admit(h Handler, from netip.AddrPort) (p *peer, refused string) {
	l := t.listener
	k := &Link{listener: l}
	k.peer = codec.Peer{Listener: l.opts.Name, Transport: l.opts.Network, Remote: from}
	if refused = l.enter(k); refused != "" {
		return nil, refused
	}
	if refused = l.admit(k); refused != "" {
		l.leave(k)
		return nil, refused
	}
	receiver := h.Peer(k)
	if receiver == nil {
		k.Close(RefusedPeer)
		l.leave(k)
		return nil, RefusedPeer
	}
	p = &peer{link: k, receiver: receiver}
	t.peers[from] = p
	return p, ""
}

// reap notes a link that its owner closed and wakes the read loop, which alone
// may call its receiver.
func (t *peerTable) reap(k *Link) {
	t.mu.Lock()
	t.closing = append(t.closing, k)
	t.mu.Unlock()
	_ = t.conn.SetReadDeadline(time.Unix(1, 0))
}

func (t *peerTable) reapClosed() {
	t.mu.Lock()
	closing := t.closing
	t.closing = nil
	t.mu.Unlock()
	for _, k := range closing {
		if p := t.peers[k.peer.Remote]; p != nil && p.link == k {
			t.remove(p, "")
		}
	}
}

func (t *peerTable) removeIdle(now time.Time) {
	for _, p := range t.peers {
		if now.Sub(p.seen) >= t.listener.opts.PeerIdle {
			t.remove(p, ReasonIdle)
		}
	}
}

func (t *peerTable) removeAll() {
	for _, p := range t.peers {
		t.remove(p, ReasonListener)
	}
}

// remove forgets a peer and tells its receiver; the reason counts only when the
// link was still open.
func (t *peerTable) remove(p *peer, reason string) {
	delete(t.peers, p.link.peer.Remote)
	t.listener.leave(p.link)
	p.link.mu.Lock()
	if !p.link.closed.Load() {
		p.link.endLocked(reason)
	}
	reason = p.link.reason
	p.link.mu.Unlock()
	p.receiver.Gone(reason)
}

// send hands one datagram to the system.
func (t *peerTable) send(b []byte, to netip.AddrPort) error {
	err := t.sender.send(b, to)
	switch {
	case err == nil || errors.Is(err, ErrSlow):
		return err
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("send datagram to %s: %w", to, err)
}

// sendPatiently is for the sockets that cannot be asked not to wait, and for the
// rare IPv6 addresses with a zone, which package net alone can resolve. The
// caller keeps others from writing meanwhile, since the deadline is the socket's.
func sendPatiently(conn *net.UDPConn, b []byte, to netip.AddrPort) error {
	if err := conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	_, err := conn.WriteToUDPAddrPort(b, to)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrSlow
	}
	return errors.Join(err, conn.SetWriteDeadline(time.Time{}))
}
