package listen

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// handlerFuncs is a Handler made of two functions.
type handlerFuncs struct {
	stream func(context.Context, *Link)
	peer   func(*Link) Receiver
}

func (h handlerFuncs) Stream(k *Link) Talk   { return talkFunc{h.stream, k} }
func (h handlerFuncs) Peer(k *Link) Receiver { return h.peer(k) }

// talkFunc is a Talk that never rests.
type talkFunc struct {
	serve func(context.Context, *Link)
	link  *Link
}

func (f talkFunc) Serve(ctx context.Context) time.Time {
	f.serve(ctx, f.link)
	return time.Time{}
}

// refusals counts what a listener refuses.
type refusals struct {
	mu     sync.Mutex
	counts map[string]int
}

func (r *refusals) add(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[string]int)
	}
	r.counts[reason]++
}

func (r *refusals) of(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[reason]
}

// serve opens a listener on a free port of the loopback and serves it until the
// test ends.
func serve(tb testing.TB, o Options, h Handler) *Listener {
	tb.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	if o.Network == "" {
		o.Network = "tcp"
	}
	o.Address = "127.0.0.1:0"
	l, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve(context.Background(), h) }()
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if err := receive(tb, served, "the end of Serve"); err != nil {
			tb.Errorf("serve: %v", err)
		}
		if n := l.Links(); n != 0 {
			tb.Errorf("%d links are left after Serve", n)
		}
	})
	return l
}

// streams hands every stream link to the test, and holds it until it is closed.
func streams() (handlerFuncs, <-chan *Link) {
	links := make(chan *Link, 2000)
	return handlerFuncs{stream: func(_ context.Context, k *Link) {
		links <- k
		<-k.Done()
	}}, links
}

// echo answers every read.
func echo(_ context.Context, k *Link) {
	buf := make([]byte, 4096)
	for {
		n, err := k.Read(buf)
		if err != nil {
			return
		}
		if err := k.Send(buf[:n]); err != nil {
			return
		}
	}
}

// echoes hands every stream link to the test, and echoes.
func echoes() (handlerFuncs, <-chan *Link) {
	links := make(chan *Link, 100)
	return handlerFuncs{stream: func(ctx context.Context, k *Link) {
		links <- k
		echo(ctx, k)
	}}, links
}

func dial(tb testing.TB, l *Listener) net.Conn {
	tb.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(tb.Context(), l.Addr().Network(), l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

func receive[T any](tb testing.TB, from <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		tb.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// eventually polls a condition that no channel tells of.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not so within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

func write(tb testing.TB, conn net.Conn, b string) {
	tb.Helper()
	if _, err := conn.Write([]byte(b)); err != nil {
		tb.Fatal(err)
	}
}

func wantText(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		tb.Fatalf("got %q, %v; want %q", got, err, text)
	}
}

// wantClosed fails unless the other side closes the connection.
func wantClosed(tb testing.TB, conn net.Conn) {
	tb.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		tb.Fatalf("read %d bytes, error %v, want a closed connection", n, err)
	} else if nerr, ok := err.(net.Error); ok && nerr.Timeout() { //nolint:errorlint // a bare error of the connection
		tb.Fatal("the connection stayed open")
	}
}

func prefixes(tb testing.TB, texts ...string) []netip.Prefix {
	tb.Helper()
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
