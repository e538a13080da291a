package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestLinkEchoesAndKnowsItsPeer(t *testing.T) {
	peers := make(chan *Link, 1)
	l := serve(t, Options{Name: "trackers"}, handlerFuncs{stream: func(ctx context.Context, k *Link) {
		peers <- k
		echo(ctx, k)
	}})
	conn := dial(t, l)
	write(t, conn, "hello")
	wantText(t, conn, "hello")
	k := receive(t, peers, "link")
	if p := k.Peer(); p.Listener != "trackers" || p.Transport != "tcp" || p.TLS != nil ||
		p.Remote.String() != conn.LocalAddr().String() {
		t.Errorf("peer is %+v, dialed from %s", p, conn.LocalAddr())
	}
	if k.ID() == 0 {
		t.Error("the link has no number")
	}
	if l.Links() != 1 {
		t.Errorf("%d links, want 1", l.Links())
	}
	_ = conn.Close()
	receive(t, k.Done(), "end of the link")
	if k.Reason() != ReasonEnded {
		t.Errorf("reason %q, want %q", k.Reason(), ReasonEnded)
	}
	eventually(t, "no link is left", func() bool { return l.Links() == 0 })
}

func TestCloseFlushesWhatIsQueuedAndKeepsTheFirstReason(t *testing.T) {
	const size = 48 << 10
	readErr := make(chan error, 1)
	l := serve(t, Options{}, handlerFuncs{stream: func(_ context.Context, k *Link) {
		if err := k.Send(bytes.Repeat([]byte("x"), size)); err != nil {
			t.Errorf("send: %v", err)
		}
		k.Close("first")
		k.Close("second")
		if err := k.Send([]byte("late")); !errors.Is(err, ErrClosed) {
			t.Errorf("send after close: %v, want ErrClosed", err)
		}
		if err := k.SetReadDeadline(time.Time{}); !errors.Is(err, ErrClosed) {
			t.Errorf("deadline after close: %v, want ErrClosed", err)
		}
		if k.Reason() != "first" {
			t.Errorf("reason %q, want the first", k.Reason())
		}
		_, err := k.Read(make([]byte, 1))
		readErr <- err
	}})
	conn := dial(t, l)
	write(t, conn, "unread bytes, which must not reset the connection")
	got, err := io.ReadAll(conn)
	if err != nil || len(got) != size {
		t.Fatalf("got %d bytes, %v; want %d", len(got), err, size)
	}
	if err := receive(t, readErr, "read error"); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v, want ErrClosed", err)
	}
}

func TestCloseWakesABlockedRead(t *testing.T) {
	links, readErr := make(chan *Link, 1), make(chan error, 1)
	l := serve(t, Options{}, handlerFuncs{stream: func(_ context.Context, k *Link) {
		links <- k
		_, err := k.Read(make([]byte, 1))
		readErr <- err
	}})
	dial(t, l)
	receive(t, links, "link").Close("kicked")
	if err := receive(t, readErr, "read error"); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v, want ErrClosed", err)
	}
}

func TestReadDeadlinePasses(t *testing.T) {
	readErr := make(chan error, 1)
	l := serve(t, Options{}, handlerFuncs{stream: func(_ context.Context, k *Link) {
		_ = k.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := k.Read(make([]byte, 1))
		readErr <- err
	}})
	dial(t, l)
	if err := receive(t, readErr, "read error"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want a deadline", err)
	}
}

func TestSlowReaderIsClosedAsSlow(t *testing.T) {
	h, links := streams()
	l := serve(t, Options{SendBuffer: 32 << 10}, h)
	conn := dial(t, l)
	k := receive(t, links, "link")
	chunk := make([]byte, 16<<10)
	deadline := time.Now().Add(patience)
	for {
		err := k.Send(chunk) // the device never reads: its window and our queue fill
		if errors.Is(err, ErrSlow) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("send: %v, want ErrSlow in the end", err)
		}
	}
	receive(t, k.Done(), "end of the link")
	if k.Reason() != ReasonSlow {
		t.Errorf("reason %q, want %q", k.Reason(), ReasonSlow)
	}
	eventually(t, "the link has left", func() bool { return l.Links() == 0 })
	if _, err := io.Copy(io.Discard, conn); err == nil {
		t.Error("the connection ended in order, want a reset that frees the buffers")
	}
}

func TestWriteTimeoutClosesAsSlow(t *testing.T) {
	h, links := streams()
	l := serve(t, Options{SendBuffer: 64 << 20, WriteTimeout: 50 * time.Millisecond}, h)
	dial(t, l)
	k := receive(t, links, "link")
	if err := k.Send(make([]byte, 32<<20)); err != nil { // more than the kernel's buffers hold
		t.Fatal(err)
	}
	receive(t, k.Done(), "end of the link")
	if k.Reason() != ReasonSlow {
		t.Errorf("reason %q, want %q", k.Reason(), ReasonSlow)
	}
}

func TestSendLargerThanTheBufferIsRefusedAndTheLinkGoesOn(t *testing.T) {
	h, links := streams()
	l := serve(t, Options{SendBuffer: 10}, h)
	conn := dial(t, l)
	k := receive(t, links, "link")
	if err := k.Send(make([]byte, 11)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("send: %v, want ErrTooLarge", err)
	}
	if err := k.Send([]byte("ok")); err != nil {
		t.Fatal(err)
	}
	wantText(t, conn, "ok")
}

func TestWriteToADeviceThatHasGoneClosesTheLink(t *testing.T) {
	h, links := streams()
	l := serve(t, Options{}, h)
	conn := dial(t, l)
	k := receive(t, links, "link")
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	eventually(t, "send fails", func() bool { return k.Send([]byte("x")) != nil })
	receive(t, k.Done(), "end of the link")
	if k.Reason() != ReasonWrite {
		t.Errorf("reason %q, want %q", k.Reason(), ReasonWrite)
	}
}

func TestDrainKeepsLinksAndRefusesNewOnes(t *testing.T) {
	l := serve(t, Options{}, handlerFuncs{stream: echo})
	conn := dial(t, l)
	write(t, conn, "a")
	wantText(t, conn, "a")
	l.StopAccepting()
	var dialer net.Dialer
	if late, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		_ = late.Close()
		t.Fatal("a new connection was taken while draining")
	}
	write(t, conn, "b")
	wantText(t, conn, "b")
}

func TestCloseAndContextEndServe(t *testing.T) {
	for name, end := range map[string]func(*Listener, context.CancelFunc){
		"close":   func(l *Listener, _ context.CancelFunc) { _ = l.Close() },
		"context": func(_ *Listener, cancel context.CancelFunc) { cancel() },
		"drain first": func(l *Listener, _ context.CancelFunc) {
			l.StopAccepting()
			_ = l.Close()
		},
	} {
		for _, network := range []string{"tcp", "udp"} {
			t.Run(name+" "+network, func(t *testing.T) {
				l, err := Open(Options{Name: "a", Network: network, Address: "127.0.0.1:0"})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				h, links := streams()
				gone := make(chan string, 1)
				h.peer = func(*Link) Receiver {
					return receiverFuncs{gone: func(reason string) { gone <- reason }}
				}
				served := make(chan error, 1)
				go func() { served <- l.Serve(ctx, h) }()
				write(t, dial(t, l), "x")
				var link *Link
				if network == "tcp" {
					link = receive(t, links, "link") // counted already, it may not have its owner yet
				}
				eventually(t, "the link is there", func() bool { return l.Links() == 1 })
				end(l, cancel)
				if err := receive(t, served, "end of Serve"); err != nil {
					t.Error(err)
				}
				reason := ""
				if network == "udp" {
					reason = receive(t, gone, "Gone")
				} else {
					reason = link.Reason()
				}
				if reason != ReasonListener {
					t.Errorf("reason %q, want %q", reason, ReasonListener)
				}
			})
		}
	}
}

func TestAThousandIdleConnectionsHoldNoFlusher(t *testing.T) {
	const n = 1000
	h, links := streams()
	l := serve(t, Options{}, h)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(t, l)
	}
	for range n {
		k := receive(t, links, "link")
		if err := k.Send([]byte{1}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the flusher has ended", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return !k.active && k.queue == nil && k.pending == 0
		})
	}
	if l.Links() != n {
		t.Errorf("%d links, want %d", l.Links(), n)
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"network":          {Options{Network: "sctp"}, `network "sctp": allowed are tcp, tls, udp`},
		"no certificates":  {Options{Network: "tls"}, "needs a TLS configuration"},
		"port in use":      {Options{Network: "tcp", Address: busy.Addr().String()}, busy.Addr().String()},
		"bad udp address":  {Options{Network: "udp", Address: "127.0.0.1:port"}, "127.0.0.1:port"},
		"proxy mode":       {Options{Network: "tcp", Proxy: ProxyOptions{Mode: "on"}}, `proxy mode "on"`},
		"nobody trusted":   {Options{Network: "tcp", Proxy: ProxyOptions{Mode: ProxyRequire}}, "trusted"},
		"proxy before udp": {Options{Network: "udp", Proxy: ProxyOptions{Mode: ProxyOptional}}, "udp listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Name = "meters"
			_, err := Open(c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "meters") {
				t.Errorf("error %v, want one with %q and the listener's name", err, c.want)
			}
		})
	}
}
