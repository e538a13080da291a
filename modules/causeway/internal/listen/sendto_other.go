//go:build !unix

package listen

import (
	"net"
	"net/netip"
	"sync"
)

// datagramSender writes datagrams with a short deadline where the socket cannot
// be asked not to wait.
type datagramSender struct {
	conn *net.UDPConn
	mu   sync.Mutex // one deadline, one writer
}

func newDatagramSender(conn *net.UDPConn) (*datagramSender, error) {
	return &datagramSender{conn: conn}, nil
}

func (s *datagramSender) send(b []byte, to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sendPatiently(s.conn, b, to)
}
