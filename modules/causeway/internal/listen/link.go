package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Errors of a link.
var (
	// ErrClosed: the link is closed; Link.Reason says why.
	ErrClosed = errors.New("link is closed")
	// ErrSlow: the device does not take what it is sent. A stream link is closed
	// by that; of a UDP peer only this datagram is lost.
	ErrSlow = errors.New("device is too slow")
	// ErrTooLarge: one Send is over Options.SendBuffer. Nothing is sent and the
	// link stays open.
	ErrTooLarge = errors.New("larger than the send buffer")
)

// Reasons that this package closes links for.
const (
	// ReasonSlow: the device did not take what it was sent.
	ReasonSlow = "slow"
	// ReasonWrite: writing failed, mostly because the device has gone.
	ReasonWrite = "write-error"
	// ReasonListener: the listener was closed.
	ReasonListener = "listener-closed"
	// ReasonEnded: Handler.Stream returned without closing the link.
	ReasonEnded = "ended"
	// ReasonIdle: the UDP peer was silent for Options.PeerIdle.
	ReasonIdle = "idle"
)

// Link is one TCP or TLS connection, or one UDP peer. Send, Close, Done and
// Reason may be called from any goroutine, Read from one at a time.
type Link struct {
	id       uint64
	peer     codec.Peer
	listener *Listener
	admitted bool // guarded by listener.mu

	raw      *net.TCPConn // nil for a UDP peer
	conn     net.Conn     // raw, with TLS and the rest behind a PROXY header; written before open
	talk     Talk         // written before open
	flush    func()       // k.flushQueue, kept so that starting it costs no allocation
	flushing sync.WaitGroup

	mu      sync.Mutex
	queue   *[]byte     // to be written next; nil when there is nothing
	pending int         // bytes queued and being written
	active  bool        // a flusher lives
	opened  bool        // conn is final
	aborted bool        // nothing more is to be written
	resting bool        // no goroutine reads
	polled  bool        // the poller knows the socket
	closed  atomic.Bool // written with mu held
	reason  string
	done    chan struct{} // made when somebody asks for it
}

func newStreamLink(l *Listener, raw *net.TCPConn, remote netip.AddrPort) *Link {
	k := &Link{listener: l, raw: raw, conn: raw}
	k.peer = codec.Peer{Listener: l.opts.Name, Transport: l.opts.Network, Remote: remote}
	k.flush = k.flushQueue
	return k
}

// ID returns the link's number, unique among the listeners that share a Quota.
func (k *Link) ID() uint64 { return k.id }

// Peer says who is at the other end.
func (k *Link) Peer() codec.Peer { return k.peer }

// Certificate is what the device presented and was verified by, nil for none.
func (k *Link) Certificate() *x509.Certificate {
	secured, ok := k.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := secured.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// Done is closed when the link is closed, before what is queued is flushed.
func (k *Link) Done() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done == nil {
		k.done = make(chan struct{})
		if k.closed.Load() {
			close(k.done)
		}
	}
	return k.done
}

// Reason returns why the link was closed, empty while it is open. The first
// reason given stays.
func (k *Link) Reason() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reason
}

// Read reads from a stream link. After Close it returns ErrClosed, when the
// deadline passed an error that wraps os.ErrDeadlineExceeded. UDP peers are read
// through their Receiver; Read returns ErrClosed for them.
func (k *Link) Read(p []byte) (int, error) {
	if k.raw == nil || k.isClosed() {
		return 0, ErrClosed
	}
	n, err := k.conn.Read(p)
	if err != nil && k.isClosed() {
		err = ErrClosed
	}
	return n, err
}

// SetReadDeadline sets the time at which Read gives up; zero means never. It does
// nothing for a UDP peer.
func (k *Link) SetReadDeadline(t time.Time) error {
	if k.raw == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed.Load() {
		return ErrClosed // the deadline that wakes Read stays
	}
	return k.raw.SetReadDeadline(t)
}

// Close closes the link, for a reason in a few words. It never blocks and is
// idempotent. Of a stream link, what is queued is written first, within
// Options.WriteTimeout; Read returns at once.
func (k *Link) Close(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed.Load() {
		return
	}
	k.endLocked(reason)
	if k.raw == nil {
		k.listener.packets.reap(k)
		return
	}
	if !k.opened {
		k.abortLocked()
		return
	}
	past := time.Unix(1, 0)
	_ = k.raw.SetReadDeadline(past)
	_ = k.raw.SetWriteDeadline(time.Now().Add(k.listener.opts.WriteTimeout))
	k.startFlusherLocked()
}

// open hands the prepared link to its owner; false when it was closed meanwhile.
func (k *Link) open() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened = !k.closed.Load()
	return k.opened
}

// abort closes at once and drops what is queued.
func (k *Link) abort(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed.Load() {
		k.endLocked(reason)
	}
	k.abortLocked()
}

func (k *Link) endLocked(reason string) {
	k.closed.Store(true)
	if k.reason = reason; k.done != nil {
		close(k.done)
	}
	k.rouseLocked()
}

// abortLocked closes the socket without waiting for the device: with linger 0 the
// system frees what a slow reader left in the send buffer.
func (k *Link) abortLocked() {
	if k.aborted {
		return
	}
	k.aborted = true
	_ = k.raw.SetLinger(0)
	_ = k.raw.Close()
}

func (k *Link) isClosed() bool { return k.closed.Load() }
