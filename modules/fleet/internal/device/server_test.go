package device

import (
	"bufio"
	"context"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// server answers devices with a function for each connection.
type server struct {
	listener net.Listener
	talks    sync.WaitGroup
}

func serveStream(t *testing.T, talk func(n int, conn net.Conn, r *bufio.Reader)) *server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: listener}
	s.talks.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			s.talks.Go(func() {
				defer conn.Close()
				talk(n, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.talks.Wait()
	})
	return s
}

func serveDatagrams(t *testing.T, answer func(n int, b []byte) []byte) net.Addr {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var loop sync.WaitGroup
	loop.Go(func() {
		b := make([]byte, 2048)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := answer(n, b[:size]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		loop.Wait()
	})
	return conn.LocalAddr()
}

func options(addr net.Addr, id string, messages uint64) Options {
	return Options{
		ID: id, Address: addr.String(), Dial: Dialer(nil), First: 1, Count: messages, AckTimeout: 100 * time.Millisecond,
	}
}

// live runs a device until it has finished.
func live(t *testing.T, d *Device) report.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d.Run(ctx, nil)
	if ctx.Err() != nil {
		t.Fatalf("the device did not finish: %+v", d.Account())
	}
	return d.Account()
}

func want(t *testing.T, a report.Device, sent, resent uint64, acked report.Ranges) {
	t.Helper()
	if a.Sent != sent || a.Resent != resent || !reflect.DeepEqual(a.Acknowledged, acked) {
		t.Errorf("sent %d, resent %d, acknowledged %v; want %d, %d, %v (%s)",
			a.Sent, a.Resent, a.Acknowledged, sent, resent, acked, a.LastError)
	}
}

func oneTo(n uint64) report.Ranges { return report.Ranges{{From: 1, To: n}} }
