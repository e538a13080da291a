package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// through opens a TCP proxy in front of a listener and connects.
func through(t *testing.T) (p *TCP, client, server net.Conn) {
	t.Helper()
	p, _, client, server = behind(t)
	return p, client, server
}

// behind is through for a test that needs the listener.
func behind(t *testing.T) (p *TCP, l net.Listener, client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if p, err = ListenTCP(l.Addr().String(), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if client, err = net.Dial("tcp", p.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	client.SetDeadline(time.Now().Add(patience))
	server.SetDeadline(time.Now().Add(patience))
	write(t, client, "hello") // the proxy knows the connection once something went through
	read(t, server, "hello")
	return p, l, client, server
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b, err, want)
	}
}

func TestAStreamGoesThroughBothWaysAndEndsInOrder(t *testing.T) {
	_, client, server := through(t)
	write(t, client, "up")
	read(t, server, "up")
	write(t, server, "down")
	read(t, client, "down")
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	write(t, server, "last words")
	server.Close()
	if b, err := io.ReadAll(client); err != nil || string(b) != "last words" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestADelayedStreamArrivesWholeAndLate(t *testing.T) {
	p, client, server := through(t)
	p.Set(Weather{Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond})
	began := time.Now()
	write(t, client, "one")
	read(t, server, "one")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("arrived after %v", took)
	}
}

func TestAStalledConnectionIsHalfOpenUntilTheStallEnds(t *testing.T) {
	p, client, server := through(t)
	p.Set(Weather{Stall: true})
	write(t, client, "held")
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := server.Read(make([]byte, 8)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v during the stall", n, err)
	}
	server.SetReadDeadline(time.Now().Add(patience))
	p.Set(Weather{})
	if b, err := io.ReadAll(server); err != nil || string(b) != "held" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestACutIsInTheMiddleOfAPiece(t *testing.T) {
	p, client, server := through(t)
	if n := p.Cut(1); n != 1 {
		t.Fatalf("%d connections cut", n)
	}
	piece := bytes.Repeat([]byte("x"), 1000)
	write(t, client, string(piece))
	b, _ := io.ReadAll(server) // a reset may take the last bytes along
	if len(b) >= len(piece) {
		t.Errorf("%d of %d bytes arrived", len(b), len(piece))
	}
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client's side: %v", err)
	}
}

func TestAResetEndsEveryConnectionEvenAStalledOne(t *testing.T) {
	p, client, server := through(t)
	p.Set(Weather{Stall: true})
	write(t, client, "held")
	if n := p.Reset(); n != 1 {
		t.Errorf("%d connections reset", n)
	}
	for _, conn := range []net.Conn{client, server} {
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("still open: %v", err)
		}
	}
}

func TestAServerThatIsNotThereIsAResetUntilTheTargetChanges(t *testing.T) {
	p, l, old, server := behind(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	target := p.target
	p.Target(gone.Addr().String())
	if client, err := net.Dial("tcp", p.Addr()); err == nil { // the reset may be faster
		defer client.Close()
		client.SetDeadline(time.Now().Add(patience))
		if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("no server, but %v", err)
		}
	}
	write(t, old, "the old one goes on")
	read(t, server, "the old one goes on")
	p.Target(target)
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

// datagrams opens a UDP proxy in front of a socket and connects.
func datagrams(t *testing.T) (p *UDP, client, server *net.UDPConn) {
	t.Helper()
	loopback := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	server, err := net.ListenUDP("udp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if p, err = ListenUDP(server.LocalAddr().String(), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	conn, err := net.Dial("udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client = conn.(*net.UDPConn)
	client.SetDeadline(time.Now().Add(patience))
	server.SetDeadline(time.Now().Add(patience))
	return p, client, server
}

// receive reads one datagram and returns it with its sender.
func receive(t *testing.T, conn *net.UDPConn) (string, net.Addr) {
	t.Helper()
	b := make([]byte, 100)
	n, from, err := conn.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n]), from
}

func TestDatagramsGoThroughBothWays(t *testing.T) {
	p, client, server := datagrams(t)
	write(t, client, "up")
	text, peer := receive(t, server)
	if text != "up" {
		t.Fatalf("got %q", text)
	}
	if _, err := server.WriteTo([]byte("down"), peer); err != nil {
		t.Fatal(err)
	}
	if text, _ = receive(t, client); text != "down" {
		t.Fatalf("got %q", text)
	}
	p.Rebind()
	write(t, client, "again")
	if text, other := receive(t, server); text != "again" || other.String() == peer.String() {
		t.Errorf("got %q from %v, was %v", text, other, peer)
	}
}

func TestLostDatagramsAreLostAndTheNextArrives(t *testing.T) {
	p, client, server := datagrams(t)
	for _, w := range []Weather{{Loss: 1}, {Stall: true}} {
		p.Set(w)
		write(t, client, "lost")
		server.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, _, err := server.ReadFrom(make([]byte, 8)); err == nil {
			t.Fatalf("%+v: %d bytes arrived", w, n)
		}
	}
	server.SetReadDeadline(time.Now().Add(patience))
	p.Set(Weather{})
	write(t, client, "kept")
	if text, _ := receive(t, server); text != "kept" {
		t.Errorf("got %q", text)
	}
}

func TestReorderedDatagramsArriveOnceEachInAnotherOrder(t *testing.T) {
	p, client, server := datagrams(t)
	p.Set(Weather{Reorder: 0.5})
	const sent = "abcdefghijklmnop"
	for _, c := range sent {
		write(t, client, string(c))
	}
	got := ""
	seen := map[string]bool{}
	for range sent {
		text, _ := receive(t, server)
		got += text
		seen[text] = true
	}
	if got == sent || len(seen) != len(sent) {
		t.Errorf("sent %s, got %s", sent, got)
	}
}

func TestCloseLosesWhatIsOnItsWay(t *testing.T) {
	p, client, _ := datagrams(t)
	p.Set(Weather{Delay: time.Hour})
	write(t, client, "never")
	deadline := time.Now().Add(patience)
	for held := 0; held == 0 && time.Now().Before(deadline); {
		p.links.Lock()
		held = len(p.held)
		p.links.Unlock()
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
