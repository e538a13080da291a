package device

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestStopEndsWhenEverythingSentIsConfirmed(t *testing.T) {
	release, seen := make(chan struct{}), make(chan struct{}, 1)
	s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			select {
			case seen <- struct{}{}:
			default:
			}
			<-release
			_, _ = conn.Write([]byte("OK\n"))
		}
	})
	o := options(s.listener.Addr(), "line-1", 0)
	o.Interval, o.AckTimeout = time.Millisecond, patience
	d := NewLine(o, "OK", 4)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(t.Context(), stop)
	}()
	<-seen
	close(stop)
	select {
	case <-ended:
		t.Fatal("the device ended with messages unconfirmed")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the device did not end")
	}
	if a := d.Account(); a.Sent == 0 || a.Acknowledged.Count() != a.Sent {
		t.Errorf("%+v", a)
	}
}

func TestAbsentServerIsAnErrorAndEndsWithTheContext(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan struct{}, 1)
	o := options(listener.Addr(), "line-1", 1)
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := Dialer([]netip.Addr{netip.MustParseAddr("127.0.0.1")})(ctx, network, address)
		select {
		case refused <- struct{}{}:
		default:
			cancel()
		}
		return conn, err
	}
	d := NewLine(o, "OK", 1)
	d.Run(ctx, nil)
	if a := d.Account(); a.Errors == 0 || a.Sent != 0 || !strings.Contains(a.LastError, "connect") {
		t.Errorf("%+v", a)
	}
}

func TestDialerBindsItsSources(t *testing.T) {
	s := serveStream(t, func(_ int, _ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	dial := Dialer(sources)
	seen := map[string]bool{}
	for range 2 {
		conn, err := dial(t.Context(), "tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		seen[host] = true
		_ = conn.Close()
	}
	if len(seen) != 2 {
		t.Errorf("sources %v", seen)
	}
	if _, err := dial(t.Context(), "unix", "x"); err == nil {
		t.Error("unix: no error")
	}
}

func TestScheduleMakesMessagesInTime(t *testing.T) {
	start := time.Unix(1000, 0)
	s := schedule{start: start, first: 5, end: 8, interval: time.Second}
	for after, want := range map[time.Duration]uint64{-1: 5, 0: 6, 999 * time.Millisecond: 6, time.Second: 7, time.Hour: 8} {
		if got := s.due(start.Add(after)); got != want {
			t.Errorf("after %v message %d is next, want %d", after, got, want)
		}
	}
	if at := s.at(7); !at.Equal(start.Add(2 * time.Second)) {
		t.Errorf("message 7 is made at %v", at)
	}
}

func TestASteppingClockIsWrongWithinItsBoundAndTheSameForARepetition(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	right := &schedule{start: start, first: 1, interval: time.Second}
	wrong := &schedule{start: start, first: 1, interval: time.Second, steps: time.Hour}
	back := 0
	for seq := uint64(2); seq < 1000; seq++ {
		if off := wrong.date(seq).Sub(right.date(seq)).Abs(); off > time.Hour {
			t.Fatalf("message %d is dated %v wrong", seq, off)
		}
		if !wrong.date(seq).Equal(wrong.date(seq)) {
			t.Fatalf("message %d is dated twice", seq)
		}
		if wrong.date(seq).Before(wrong.date(seq - 1)) {
			back++
		}
	}
	if back < 10 {
		t.Errorf("the clock was set back %d times in 1000 messages", back)
	}
}
