package listen

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// ProxyMode says whether a PROXY protocol header (versions 1 and 2) is expected
// in front of a connection.
type ProxyMode string

// The modes. The empty mode is ProxyOff.
const (
	// ProxyOff: headers are not looked for; they are bytes like others.
	ProxyOff ProxyMode = "off"
	// ProxyOptional: a header is believed when a trusted address sends one.
	// Others' bytes are left alone. A trusted sender that is silent for the header
	// time is taken to have none.
	ProxyOptional ProxyMode = "optional"
	// ProxyRequire: connections without a header from a trusted address are
	// refused.
	ProxyRequire ProxyMode = "require"
)

// ProxyOptions say whose PROXY headers are believed.
type ProxyOptions struct {
	Mode ProxyMode
	// Trusted are the addresses of the proxies; needed unless the mode is off,
	// because whoever is trusted chooses the address it is judged by.
	Trusted []netip.Prefix
}

// proxyHeaderTimeout: a proxy sends the header at once with its own connect; five
// seconds cover one lost SYN and two retransmissions.
const proxyHeaderTimeout = 5 * time.Second

// proxyHeaderBuffer holds a version 1 line (at most 107 bytes) and the usual
// version 2 header; longer ones are read in pieces.
const proxyHeaderBuffer = 256

var errUntrusted = errors.New("sender is not a trusted proxy")

func (p ProxyOptions) check() error {
	switch p.Mode {
	case "", ProxyOff:
		return nil
	case ProxyOptional, ProxyRequire:
		if len(p.Trusted) == 0 {
			return fmt.Errorf("proxy mode %q needs trusted addresses", p.Mode)
		}
		return nil
	}
	return fmt.Errorf("proxy mode %q: allowed are off, optional, require", p.Mode)
}

// expects reports whether a header from that address has to be looked for. The
// error is errUntrusted when the connection is to be refused without looking.
func (p ProxyOptions) expects(from netip.Addr) (bool, error) {
	if p.Mode == "" || p.Mode == ProxyOff {
		return false, nil
	}
	if containsAddr(p.Trusted, from) {
		return true, nil
	}
	if p.Mode == ProxyRequire {
		return false, errUntrusted
	}
	return false, nil
}

// readProxyHeader consumes the header and returns the connection behind it and
// the address it names, or the connection's own for a LOCAL header and for none.
func readProxyHeader(conn net.Conn, own netip.AddrPort, mode ProxyMode) (net.Conn, netip.AddrPort, error) {
	if err := conn.SetReadDeadline(time.Now().Add(proxyHeaderTimeout)); err != nil {
		return nil, own, err
	}
	reader := bufio.NewReaderSize(conn, proxyHeaderBuffer)
	header, err := proxyproto.Read(reader)
	none := errors.Is(err, proxyproto.ErrNoProxyProtocol) || errors.Is(err, os.ErrDeadlineExceeded)
	if err != nil && (mode == ProxyRequire || !none) {
		return nil, own, fmt.Errorf("read proxy header: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, own, err
	}
	if n := reader.Buffered(); n > 0 {
		rest, peekErr := reader.Peek(n)
		if peekErr != nil {
			return nil, own, peekErr
		}
		conn = &prefixedConn{Conn: conn, prefix: slices.Clone(rest)}
	}
	if header == nil || header.Command.IsLocal() {
		return conn, own, nil
	}
	source, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok {
		return conn, own, nil // a family without addresses: the connection's own counts
	}
	return conn, unmap(source.AddrPort()), nil
}

// prefixedConn reads the bytes that came together with the PROXY header first.
type prefixedConn struct {
	net.Conn
	prefix []byte
}

// Read implements net.Conn.
func (c *prefixedConn) Read(p []byte) (int, error) {
	if len(c.prefix) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.prefix)
	if c.prefix = c.prefix[n:]; len(c.prefix) == 0 {
		c.prefix = nil
	}
	return n, nil
}

func containsAddr(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.WithZone("") // prefixes have no zones
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// unmap turns ::ffff:a.b.c.d into a.b.c.d, so that lists and bounds see one
// device under one address whatever the socket's family.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
