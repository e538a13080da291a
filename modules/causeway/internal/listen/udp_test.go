package listen

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// receiverFuncs is a Receiver made of two functions, both optional.
type receiverFuncs struct {
	datagram func([]byte, time.Time)
	gone     func(string)
}

func (r receiverFuncs) Datagram(b []byte, at time.Time) {
	if r.datagram != nil {
		r.datagram(b, at)
	}
}

func (r receiverFuncs) Gone(reason string) {
	if r.gone != nil {
		r.gone(reason)
	}
}

// peers echoes datagrams and tells the test of links and their ends.
func peers() (h handlerFuncs, links chan *Link, gone chan string) {
	links, gone = make(chan *Link, 100), make(chan string, 100)
	return handlerFuncs{peer: func(k *Link) Receiver {
		links <- k
		return receiverFuncs{
			datagram: func(b []byte, _ time.Time) { _ = k.Send(b) },
			gone:     func(reason string) { gone <- reason },
		}
	}}, links, gone
}

func exchange(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	write(tb, conn, text)
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != text {
		tb.Fatalf("got %q, %v; want %q", buf[:n], err, text)
	}
}

func TestEachUDPAddressIsAPeer(t *testing.T) {
	h, links, _ := peers()
	l := serve(t, Options{Name: "meters", Network: "udp"}, h)
	a, b := dial(t, l), dial(t, l)
	exchange(t, a, "one")
	exchange(t, b, "two")
	exchange(t, a, "three")
	first, second := receive(t, links, "link"), receive(t, links, "link")
	if first.ID() == second.ID() || l.Links() != 2 {
		t.Errorf("links %d and %d, %d in all, want two", first.ID(), second.ID(), l.Links())
	}
	p := first.Peer()
	if p.Transport != "udp" || p.Listener != "meters" || p.Remote.String() != a.LocalAddr().String() {
		t.Errorf("peer is %+v", p)
	}
}

func TestSilentPeerIsGoneAndMayComeBack(t *testing.T) {
	h, links, gone := peers()
	l := serve(t, Options{Network: "udp", PeerIdle: 40 * time.Millisecond}, h)
	conn := dial(t, l)
	exchange(t, conn, "a")
	k := receive(t, links, "link")
	if reason := receive(t, gone, "Gone"); reason != ReasonIdle || k.Reason() != ReasonIdle {
		t.Errorf("gone for %q, link closed for %q, want %q", reason, k.Reason(), ReasonIdle)
	}
	if err := k.Send([]byte("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("send to a peer that is gone: %v, want ErrClosed", err)
	}
	exchange(t, conn, "b")
	if again := receive(t, links, "link"); again.ID() == k.ID() {
		t.Error("the peer came back under its old number")
	}
}

func TestClosedPeerIsToldAtOnceAndOnce(t *testing.T) {
	h, links, gone := peers()
	l := serve(t, Options{Network: "udp", PeerIdle: time.Hour}, h)
	conn := dial(t, l)
	exchange(t, conn, "a")
	k := receive(t, links, "link")
	k.Close("kicked")
	k.Close("again")
	if reason := receive(t, gone, "Gone"); reason != "kicked" {
		t.Errorf("gone for %q, want the reason of Close", reason)
	}
	eventually(t, "the link has left", func() bool { return l.Links() == 0 })
	exchange(t, conn, "b")
	_ = l.Close()
	if reason := receive(t, gone, "Gone of the second link"); reason != ReasonListener {
		t.Errorf("gone for %q, want %q", reason, ReasonListener)
	}
	if len(gone) != 0 {
		t.Error("a peer was told twice")
	}
}

func TestAFullListenerRefusesTheNewestPeer(t *testing.T) {
	var refused refusals
	h, _, _ := peers()
	l := serve(t, Options{Network: "udp", Connections: 2, Refused: refused.add}, h)
	a, b, c := dial(t, l), dial(t, l), dial(t, l)
	exchange(t, a, "a")
	exchange(t, b, "b")
	write(t, c, "c")
	eventually(t, "the third is counted", func() bool { return refused.of(RefusedConnections) == 1 })
	exchange(t, a, "a again")
	exchange(t, b, "b again")
	if l.Links() != 2 {
		t.Errorf("%d links, want 2", l.Links())
	}
}

func TestUDPRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		o      Options
		want   string
		before func(*Listener)
	}{
		"allow-list":  {Options{Allow: prefixes(t, "10.0.0.0/8")}, RefusedAllowList, nil},
		"shared":      {Options{Shared: fullQuota()}, RefusedShared, nil},
		"large":       {Options{DatagramSize: 3}, RefusedDatagramSize, nil},
		"draining":    {Options{}, RefusedDraining, (*Listener).StopAccepting},
		"nil handler": {Options{Name: "nil"}, RefusedPeer, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var refused refusals
			c.o.Network, c.o.Refused = "udp", refused.add
			l := serve(t, c.o, handlerFuncs{peer: func(*Link) Receiver { return nil }})
			if c.before != nil {
				c.before(l)
			}
			write(t, dial(t, l), "1234")
			eventually(t, "the refusal is counted", func() bool { return refused.of(c.want) == 1 })
			if l.Links() != 0 {
				t.Errorf("%d links, want none", l.Links())
			}
		})
	}
}

func TestDrainingKeepsThePeersThatAreThere(t *testing.T) {
	h, _, _ := peers()
	l := serve(t, Options{Network: "udp"}, h)
	conn := dial(t, l)
	exchange(t, conn, "before")
	l.StopAccepting()
	exchange(t, conn, "while draining")
}

func TestUDPBoundPerAddress(t *testing.T) {
	var refused refusals
	h, _, _ := peers()
	l := serve(t, Options{Network: "udp", PerAddress: 1, Refused: refused.add}, h)
	exchange(t, dial(t, l), "a")
	write(t, dial(t, l), "b")
	eventually(t, "the second is counted", func() bool { return refused.of(RefusedPerAddress) == 1 })
}

func TestPeersCloseFromManyGoroutines(t *testing.T) {
	h, links, gone := peers()
	l := serve(t, Options{Network: "udp", PeerIdle: time.Hour}, h)
	const n = 50
	for range n {
		exchange(t, dial(t, l), "x")
	}
	var wg sync.WaitGroup
	for range n {
		k := receive(t, links, "link")
		wg.Go(func() { k.Close("kicked") })
		wg.Go(func() { k.Close("kicked") })
	}
	wg.Wait()
	for range n {
		receive(t, gone, "Gone")
	}
	eventually(t, "no link is left", func() bool { return l.Links() == 0 })
}

func fullQuota() *Quota {
	q := NewQuota(1)
	q.acquire()
	return q
}

func TestABannedAddressIsNoPeer(t *testing.T) {
	var refused refusals
	var banned atomic.Bool
	h, links, _ := peers()
	l := serve(t, Options{
		Network: "udp", Refused: refused.add, Barred: func(netip.Addr) bool { return banned.Load() },
	}, h)
	conn := dial(t, l)
	exchange(t, conn, "a")
	banned.Store(true)
	exchange(t, conn, "b") // its link was there before, and is its owner's to close
	receive(t, links, "link").Close("banned")
	eventually(t, "it is refused from then on", func() bool {
		write(t, conn, "c")
		return refused.of(RefusedBarred) > 0 && l.Links() == 0
	})
}
