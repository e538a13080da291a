//go:build unix

package listen

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// datagramSender writes datagrams without ever waiting for room in the socket's
// send buffer, which net.UDPConn would do: a slow uplink must not hold up the
// goroutine that acknowledges other devices. It allocates nothing per datagram.
type datagramSender struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	ipv6 bool
	try  func(fd uintptr) bool // s.sendto, kept so that a send costs no allocation

	mu  sync.Mutex // guards what one sendto needs
	b   []byte
	to4 syscall.SockaddrInet4
	to6 syscall.SockaddrInet6
	err error
}

func newDatagramSender(conn *net.UDPConn) (*datagramSender, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &datagramSender{conn: conn, raw: raw}
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		s.ipv6 = local.IP.To4() == nil // the family of the socket; [::] takes IPv4 peers too
	}
	s.try = s.sendto
	return s, nil
}

func (s *datagramSender) send(b []byte, to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to.Addr().Zone() != "" {
		return sendPatiently(s.conn, b, to)
	}
	s.b = b
	if s.ipv6 {
		s.to6.Addr, s.to6.Port = to.Addr().As16(), int(to.Port())
	} else {
		s.to4.Addr, s.to4.Port = to.Addr().As4(), int(to.Port())
	}
	err := s.raw.Write(s.try)
	s.b = nil
	if err != nil {
		return err
	}
	if errors.Is(s.err, syscall.EAGAIN) || errors.Is(s.err, syscall.ENOBUFS) {
		return ErrSlow
	}
	return s.err
}

// sendto always returns true, so that RawConn.Write does not wait.
func (s *datagramSender) sendto(fd uintptr) bool {
	var to syscall.Sockaddr = &s.to4
	if s.ipv6 {
		to = &s.to6
	}
	for {
		s.err = syscall.Sendto(int(fd), s.b, 0, to)
		if !errors.Is(s.err, syscall.EINTR) {
			return true
		}
	}
}
