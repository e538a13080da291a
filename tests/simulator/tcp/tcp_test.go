package tcp_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/tcp"
)

// layer is a protocol above a connection, which would say goodbye.
type layer struct {
	net.Conn
	goodbyes *int
}

func (l layer) NetConn() net.Conn { return l.Conn }
func (l layer) Close() error      { *l.goodbyes++; return l.Conn.Close() }

func TestAResetGoesBelowAllLayers(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	near, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	goodbyes := 0
	tcp.Reset(layer{layer{far, &goodbyes}, &goodbyes})
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || goodbyes != 0 {
		t.Errorf("%v, after %d goodbyes", err, goodbyes)
	}
}

func TestWhatHasNoTCPIsClosed(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	tcp.Reset(far)
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
