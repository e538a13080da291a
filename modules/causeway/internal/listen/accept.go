package listen

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// handshakeTimeout bounds the TLS handshake: two round trips and an elliptic
// curve on a slow radio link need about two seconds; more is an attack.
const handshakeTimeout = 10 * time.Second

// Accept errors other than the listener's end (no descriptors left, a connection
// aborted before it was taken) pass; the loop waits this long, doubling.
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// backoff is the wait of a loop whose socket fails for the moment.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait returns false when done was closed meanwhile.
func (b *backoff) wait(done <-chan struct{}) bool {
	b.next = min(max(2*b.next, acceptBackoffMin), acceptBackoffMax)
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// accept runs until the listening socket is closed.
func (l *Listener) accept(h Handler) {
	var pause backoff
	for {
		conn, err := l.stream.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.opts.Refused(RefusedAccept)
			if !pause.wait(l.done) {
				return
			}
			continue
		}
		pause.reset()
		if reason := l.receive(conn, h); reason != "" {
			l.opts.Refused(reason)
			_ = conn.Close()
		}
	}
}

// receive starts the link of a new connection, or returns why it is refused. What
// can be judged by the socket's address is judged here, before a goroutine is
// spent on it.
func (l *Listener) receive(conn net.Conn, h Handler) (refused string) {
	raw, ok := conn.(*net.TCPConn)
	if !ok {
		return RefusedAccept
	}
	remote := remoteOf(raw)
	behindProxy, err := l.opts.Proxy.expects(remote.Addr())
	if err != nil {
		return RefusedProxy
	}
	k := newStreamLink(l, raw, remote)
	if refused = l.enter(k); refused != "" {
		return refused
	}
	if !behindProxy {
		if refused = l.admit(k); refused != "" {
			l.leave(k)
			return refused
		}
	}
	l.serving.Add(1)
	go l.serveLink(k, behindProxy, h)
	return ""
}

// serveLink is the first goroutine of a stream link.
func (l *Listener) serveLink(k *Link, behindProxy bool, h Handler) {
	refused := l.prepare(l.streams, k, behindProxy)
	if refused == "" && k.open() {
		if k.talk = h.Stream(k); k.talk != nil {
			k.converse()
			return
		}
		k.Close(ReasonEnded)
	}
	if refused != "" {
		if !k.isClosed() { // else the listener was closed under it
			l.opts.Refused(refused)
		}
		k.abort(refused)
	}
	k.end()
}

// converse serves the link until it ends or rests. Rest is another goroutine's to end.
func (k *Link) converse() {
	for {
		until := k.talk.Serve(k.listener.streams)
		if until.IsZero() {
			break
		}
		if k.lieDown(until) {
			return
		}
	}
	k.Close(ReasonEnded)
	k.end()
}

// end is the last that is done for a stream link.
func (k *Link) end() {
	k.flushing.Wait()
	k.listener.leave(k)
	k.listener.serving.Done()
}

// prepare does what has to be waited for before the link is anybody's: PROXY
// header, the judgement of the address that it names, TLS.
func (l *Listener) prepare(ctx context.Context, k *Link, behindProxy bool) (refused string) {
	if behindProxy {
		conn, remote, err := readProxyHeader(k.raw, k.peer.Remote, l.opts.Proxy.Mode)
		if err != nil {
			return RefusedProxy
		}
		k.conn, k.peer.Remote = conn, remote
		if refused = l.admit(k); refused != "" {
			return refused
		}
	}
	if l.opts.Network != "tls" {
		return ""
	}
	secured, identity, err := handshake(ctx, k.conn, l.opts.TLS)
	if err != nil {
		return RefusedTLS
	}
	k.conn, k.peer.TLS = secured, identity
	return ""
}

func handshake(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, *codec.TLSIdentity, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil, err
	}
	secured := tls.Server(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	state := secured.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return secured, nil, nil
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	return secured, &codec.TLSIdentity{
		CommonName:  leaf.Subject.CommonName,
		Names:       leaf.DNSNames,
		Fingerprint: hex.EncodeToString(sum[:]),
	}, nil
}

func remoteOf(conn *net.TCPConn) netip.AddrPort {
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return unmap(addr.AddrPort())
	}
	return netip.AddrPort{}
}
