package sim

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
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
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, as from a host that has gone
		}
		_ = c.Close()
	}
	return len(conns)
}

func (e *Edge) openAMQP(ctx context.Context) error {
	l, err := e.listen(ctx, "amqp", e.opts.AMQP)
	if err != nil {
		return err
	}
	e.addr = l.Addr().String()
	e.power.Lock()
	defer e.power.Unlock()
	e.serveAMQP(l)
	e.onClose(func() error {
		e.power.Lock()
		e.ended = true
		e.power.Unlock()
		return e.Down(false)
	})
	return nil
}

// serveAMQP starts a head on the listener. Caller holds power.
func (e *Edge) serveAMQP(l net.Listener) {
	head := amqphead.New(e.hub, amqphead.Options{
		AckTimeout: e.opts.Hub.AckTimeout, IdleTimeout: e.opts.IdleTimeout, CloseGrace: e.opts.CloseGrace,
	})
	tracked := &trackedListener{Listener: l, conns: map[*trackedConn]struct{}{}}
	served := make(chan struct{})
	e.head, e.listener, e.served = head, tracked, served
	e.servers.Go(func() {
		defer close(served)
		_ = head.Serve(context.Background(), tls.NewListener(tracked, e.tls))
	})
}

// Down stops listening and ends every connection: with the close of a hub that shuts
// down, or abruptly as when its host is gone. It returns when they are gone; a hub that
// is down stays so.
func (e *Edge) Down(abrupt bool) error {
	e.power.Lock()
	defer e.power.Unlock()
	if e.head == nil {
		return nil
	}
	_ = e.listener.Close()
	if abrupt {
		e.listener.cut()
	}
	err := e.head.Close()
	<-e.served
	e.head, e.listener = nil, nil
	return err
}

// portTries and portPause bound how long Up waits for its own port: the kernel may hold
// it for a moment.
const (
	portTries = 50
	portPause = 100 * time.Millisecond
)

// Up listens on the same port again.
func (e *Edge) Up() error {
	e.power.Lock()
	defer e.power.Unlock()
	if e.ended {
		return errors.New("bring the hub up: the simulator is closed")
	}
	if e.head != nil {
		return nil
	}
	var config net.ListenConfig
	var l net.Listener
	var err error
	for range portTries {
		if l, err = config.Listen(context.Background(), "tcp", e.addr); err == nil {
			e.serveAMQP(l)
			return nil
		}
		time.Sleep(portPause)
	}
	return fmt.Errorf("bring the hub up: %w", err)
}

// DropAll cuts every TCP connection without a word and returns how many there were.
func (e *Edge) DropAll() int {
	e.power.Lock()
	defer e.power.Unlock()
	if e.listener == nil {
		return 0
	}
	return e.listener.cut()
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
