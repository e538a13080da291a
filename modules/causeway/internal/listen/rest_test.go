package listen

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"
)

// sleeper is a Talk that rests after each read, and tells of each time that it is
// served.
type sleeper struct {
	link   *Link
	until  func() time.Time
	served chan string // what was read, or the error
}

// Serve implements Talk.
func (s *sleeper) Serve(context.Context) time.Time {
	_ = s.link.SetReadDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 100)
	n, err := s.link.Read(b)
	switch {
	case n > 0:
		s.served <- string(b[:n])
	case s.link.Reason() != "":
		s.served <- "closed for " + s.link.Reason()
		return time.Time{}
	case err != nil && !isTimeout(err):
		s.served <- "left"
		return time.Time{}
	default:
		s.served <- "silence"
	}
	return s.until()
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // as Read returns it
	return ok && timeout.Timeout()
}

// sleepers serves links that rest.
type sleepers struct {
	until func() time.Time
	talks chan *sleeper
}

func (h sleepers) Stream(k *Link) Talk {
	s := &sleeper{link: k, until: h.until, served: make(chan string, 100)}
	h.talks <- s
	return s
}

func (sleepers) Peer(*Link) Receiver { return nil }

func farOff() time.Time { return time.Now().Add(time.Hour) }

func wantServed(t *testing.T, s *sleeper, want string) {
	t.Helper()
	for {
		switch got := receive(t, s.served, "the next time that the link is served"); got {
		case want:
			return
		case "silence": // it had to look first
		default:
			t.Fatalf("served with %q, want %q", got, want)
		}
	}
}

func TestALinkThatRestsIsWoken(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("links do not rest here")
		return
	}
	cases := []struct {
		name  string
		until func() time.Time
		wake  func(l *Listener, k *Link, device net.Conn)
		want  string
	}{
		{"by bytes", farOff, func(_ *Listener, _ *Link, d net.Conn) { _, _ = d.Write([]byte("hello")) }, "hello"},
		{"by the device's end", farOff, func(_ *Listener, _ *Link, d net.Conn) { _ = d.Close() }, "left"},
		{"by its own end", farOff, func(_ *Listener, k *Link, _ net.Conn) { k.Close("kicked") }, "closed for kicked"},
		{"by a write that fails", farOff, func(_ *Listener, k *Link, _ net.Conn) { k.abort("slow") }, "closed for slow"},
		{"by the listener's end", farOff, func(l *Listener, _ *Link, _ net.Conn) { _ = l.Close() }, "closed for listener-closed"},
		{"by its owner", farOff, func(l *Listener, _ *Link, _ net.Conn) { l.Rouse() }, "silence"},
		{"when its time has passed", func() time.Time { return time.Now().Add(time.Millisecond) }, nil, "silence"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sleepers{until: c.until, talks: make(chan *sleeper, 1)}
			l := serve(t, Options{}, h)
			device := dial(t, l)
			s := receive(t, h.talks, "link")
			if got := receive(t, s.served, "the first time"); got != "silence" {
				t.Fatalf("served with %q", got)
			}
			if c.wake != nil {
				eventually(t, "the link rests", func() bool { return l.Resting() == 1 })
				c.wake(l, s.link, device)
			}
			wantServed(t, s, c.want)
		})
	}
}

func TestALinkRestsAgainAndAgain(t *testing.T) {
	h := sleepers{until: farOff, talks: make(chan *sleeper, 1)}
	l := serve(t, Options{}, h)
	device := dial(t, l)
	s := receive(t, h.talks, "link")
	for range 50 {
		write(t, device, "x")
		wantServed(t, s, "x")
	}
}

func TestNoLinkRestsOnceTheListenerWasRoused(t *testing.T) {
	h := sleepers{until: farOff, talks: make(chan *sleeper, 1)}
	l := serve(t, Options{}, h)
	dial(t, l)
	s := receive(t, h.talks, "link")
	l.Rouse()
	for range 5 { // it is served again and again
		if got := receive(t, s.served, "the next time"); got != "silence" {
			t.Fatalf("served with %q", got)
		}
	}
	if n := l.Resting(); n != 0 {
		t.Errorf("%d links rest", n)
	}
	s.link.Close("done")
	wantServed(t, s, "closed for done")
}
