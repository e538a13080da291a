package listen

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

func TestStreamBounds(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		fit  int
		want string
	}{
		"of the listener": {Options{Connections: 3}, 3, RefusedConnections},
		"of an address":   {Options{PerAddress: 2}, 2, RefusedPerAddress},
		"shared":          {Options{Shared: NewQuota(2)}, 2, RefusedShared},
		"allow-list":      {Options{Allow: prefixes(t, "10.0.0.0/8", "::1/128")}, 0, RefusedAllowList},
		"banned":          {Options{Barred: func(a netip.Addr) bool { return a.IsLoopback() }}, 0, RefusedBarred},
	} {
		t.Run(name, func(t *testing.T) {
			var refused refusals
			c.o.Refused = refused.add
			h, links := streams()
			l := serve(t, c.o, h)
			var first *Link
			for range c.fit {
				dial(t, l)
				first = receive(t, links, "link")
			}
			wantClosed(t, dial(t, l))
			eventually(t, "the refusal is counted", func() bool { return refused.of(c.want) == 1 })
			if l.Links() != c.fit {
				t.Errorf("%d links, want %d", l.Links(), c.fit)
			}
			if first == nil {
				return
			}
			first.Close("make room")
			eventually(t, "the link has left", func() bool { return l.Links() == c.fit-1 })
			dial(t, l)
			receive(t, links, "link in the freed place")
		})
	}
}

func TestSharedQuotaSpansListenersAndNumbersLinks(t *testing.T) {
	var refused refusals
	shared := NewQuota(2)
	h, links := streams()
	udp, _, _ := peers()
	h.peer = udp.peer
	a := serve(t, Options{Name: "a", Shared: shared, Refused: refused.add}, h)
	b := serve(t, Options{Name: "b", Shared: shared, Refused: refused.add, Network: "udp"}, h)
	dial(t, a)
	exchange(t, dial(t, b), "x")
	wantClosed(t, dial(t, a))
	write(t, dial(t, b), "y")
	eventually(t, "both are counted", func() bool { return refused.of(RefusedShared) == 2 })
	if shared.Used() != 2 || receive(t, links, "link").ID() > 2 {
		t.Errorf("%d used", shared.Used())
	}
}

// failing is a net.Listener that fails some times before it works.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left--; f.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	var refused refusals
	l, err := Open(Options{Name: "a", Network: "tcp", Address: "127.0.0.1:0", Refused: refused.add})
	if err != nil {
		t.Fatal(err)
	}
	l.stream = &failing{Listener: l.stream, left: 3}
	h, links := streams()
	served := make(chan error, 1)
	go func() { served <- l.Serve(t.Context(), h) }()
	dial(t, l)
	receive(t, links, "link after the failures")
	if refused.of(RefusedAccept) != 3 {
		t.Errorf("%d failures counted, want 3", refused.of(RefusedAccept))
	}
	if err := errors.Join(l.Close(), receive(t, served, "end of Serve")); err != nil {
		t.Error(err)
	}
}

func TestBackoffEndsWithTheListener(t *testing.T) {
	done := make(chan struct{})
	close(done)
	b := backoff{next: acceptBackoffMax}
	if b.wait(done) || b.next != acceptBackoffMax {
		t.Errorf("the wait went on, next is %v", b.next)
	}
}
