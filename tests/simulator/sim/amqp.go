package sim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/causeway-iot/causeway/tests/simulator/tcp"
)

// trackedListener remembers its connections, so that they can be cut without a word.
type trackedListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[*trackedConn]struct{}
}

type trackedConn struct {
	net.Conn
	owner *trackedListener
}

func (l *trackedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{Conn: c, owner: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[tracked] = struct{}{}
	return tracked, nil
}

// NetConn is the connection below.
func (c *trackedConn) NetConn() net.Conn { return c.Conn }

func (c *trackedConn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// cut closes every connection with a reset and returns how many there were.
func (l *trackedListener) cut() int {
	l.mu.Lock()
	conns := make([]*trackedConn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		tcp.Reset(c)
		_ = c.Close()
	}
	return len(conns)
}

// maxSocketPath is below what a unix socket address holds (104 bytes on some systems).
const maxSocketPath = 100

// listenWorkload listens on the configured path, or in the state folder, or, when that
// path is too long for a socket, in a temporary folder.
func (e *Edge) listenWorkload(ctx context.Context) (net.Listener, error) {
	e.socket = e.opts.Workload
	if e.socket == "" {
		path, err := filepath.Abs(e.dir.Path("workload.sock"))
		if err != nil {
			return nil, fmt.Errorf("workload socket: %w", err)
		}
		e.socket = path
		if len(path) > maxSocketPath {
			temp, err := os.MkdirTemp("", "sim")
			if err != nil {
				return nil, fmt.Errorf("workload socket: %w", err)
			}
			e.onClose(func() error { return os.RemoveAll(temp) })
			e.socket = filepath.Join(temp, "w.sock")
		}
	}
	if len(e.socket) > maxSocketPath {
		return nil, fmt.Errorf("workload socket %s has %d bytes, at most %d are allowed",
			e.socket, len(e.socket), maxSocketPath)
	}
	// The state folder is locked, so a socket that is there belongs to a dead simulator.
	if err := os.Remove(e.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("workload socket: %w", err)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", e.socket)
	if err != nil {
		return nil, fmt.Errorf("workload socket: %w", err)
	}
	return l, nil
}

func newMasterKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
}
