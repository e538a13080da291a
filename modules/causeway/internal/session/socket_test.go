package session

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/listen"
)

// patience bounds every wait for a real socket.
const patience = 30 * time.Second

// house serves every link of a real listener.
type house struct {
	t       *testing.T
	profile *Profile
	ended   chan string // why each link was closed
	rested  chan struct{}
}

// Stream implements listen.Handler.
func (h house) Stream(link *listen.Link) listen.Talk {
	s, err := Begin(h.profile, link)
	if err != nil {
		h.t.Error(err)
		return nil
	}
	return &guest{house: h, session: s, link: link}
}

// guest is one link of the house.
type guest struct {
	house   house
	session *Session
	link    *listen.Link
}

// Serve implements listen.Talk.
func (g *guest) Serve(ctx context.Context) time.Time {
	until := g.session.Serve(ctx, ctx, g.link)
	if until.IsZero() {
		g.house.ended <- g.link.Reason()
	} else {
		g.house.rested <- struct{}{}
	}
	return until
}

// Peer implements listen.Handler.
func (h house) Peer(link *listen.Link) listen.Receiver {
	s, err := Begin(h.profile, link)
	if err != nil {
		h.t.Error(err)
		return nil
	}
	return s
}

// echoID acknowledges each line with itself.
func echoID(f codec.Frame, out *codec.Outcome) error {
	out.Add().Body = f.Bytes
	out.Scratch = append(append(out.Scratch, f.Bytes...), '\n')
	out.Ack = out.Scratch
	return nil
}

// open serves a listener on a free port until the test ends.
func open(t *testing.T, network string) (house, net.Conn) {
	t.Helper()
	r := newRig(t)
	r.Uplink, r.Codec = settling{}, codec.Func(echoID)
	h := house{t: t, profile: r.Profile, ended: make(chan string, 1), rested: make(chan struct{}, 10)}
	l, err := listen.Open(listen.Options{Name: "l", Network: network, Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve(context.Background(), h) }()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if links, _ := r.Table.Counts(); links != 0 {
			t.Errorf("%d sessions are left", links)
		}
	})
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return h, conn
}

func TestRealStreamIsAcknowledgedLineByLineAndToTheEnd(t *testing.T) {
	h, conn := open(t, "tcp")
	const lines = 500
	go func() {
		for i := range lines {
			if _, err := fmt.Fprintf(conn, "line %d\n", i); err != nil {
				t.Error(err)
				return
			}
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	in := bufio.NewScanner(conn)
	for i := range lines {
		if want := fmt.Sprintf("line %d", i); !in.Scan() || in.Text() != want {
			t.Fatalf("heard %q, want %q: %v", in.Text(), want, in.Err())
		}
	}
	if in.Scan() || in.Err() != nil {
		t.Errorf("heard %q after the end: %v", in.Text(), in.Err())
	}
	select {
	case reason := <-h.ended:
		if reason != "closed-by-device" {
			t.Errorf("closed for %q", reason)
		}
	case <-time.After(patience):
		t.Error("the session does not end")
	}
}

func TestRealDatagramIsAcknowledged(t *testing.T) {
	_, conn := open(t, "udp")
	buffer := make([]byte, 100)
	for i := range 20 {
		text := fmt.Sprintf("datagram %d", i)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if err != nil || string(buffer[:n]) != text+"\n" {
			t.Fatalf("heard %q: %v", buffer[:n], err)
		}
	}
}

func TestARealStreamThatRestsGoesOnWhereItWas(t *testing.T) {
	h, conn := open(t, "tcp")
	in := bufio.NewScanner(conn)
	for i := range 2 {
		line := fmt.Sprintf("line %d", i)
		if _, err := fmt.Fprintln(conn, line); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() || in.Text() != line {
			t.Fatalf("heard %q, want %q: %v", in.Text(), line, in.Err())
		}
		select {
		case <-h.rested:
		case <-time.After(patience):
			t.Fatal("the link does not rest")
		}
	}
	_ = conn.Close()
	select {
	case reason := <-h.ended:
		if reason != "closed-by-device" {
			t.Errorf("closed for %q", reason)
		}
	case <-time.After(patience):
		t.Error("the session does not end")
	}
}
