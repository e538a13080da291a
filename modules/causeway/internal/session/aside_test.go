package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// peer is a UDP peer of a guarded rig.
func (r *rig) peer(t *testing.T) (*Session, *fakeLink) {
	t.Helper()
	link, conn := newFakeLink("udp")
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.End()
	})
	return s, link
}

// hear gives the session datagrams, and waits until nothing moves any more.
func hear(s *Session, datagrams ...string) {
	for _, text := range datagrams {
		s.Datagram([]byte(text), time.Now())
	}
	synctest.Wait()
}

func TestADatagramsLoginIsJudgedAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, time.Second)
		s, link := r.peer(t)
		hear(s, "login t-1 1-t", "data a", "login t-1 1-t")
		if link.written() != "" || len(r.uplink.taken()) > 0 {
			t.Errorf("before the verdict the device heard %q, and %v was sent", link.written(), r.uplink.taken())
		}
		r.faults(t, FaultDropped, FaultDropped)
		after(time.Second)
		if link.written() != "welcome\n" {
			t.Errorf("the device heard %q", link.written())
		}
		hear(s, "data a")
		r.uplink.settle(t, "a", nil)
		if link.written() != "welcome\nack a\n" || r.Table.Find("t-1") != s {
			t.Errorf("the device heard %q", link.written())
		}
		hear(s, "login t-1 1-t") // a datagram may repeat it: it is not judged again
		a.questions(t, "t-1")
		hear(s, "login t-1 guess") // the address proves nothing
		after(time.Second)
		if link.written() != "welcome\nack a\nwelcome\nrefused\n" || link.closedFor() != "" {
			t.Errorf("the device heard %q, closed for %q", link.written(), link.closedFor())
		}
	})
}

func TestADatagramsLoginThatIsRefusedEndsItsLink(t *testing.T) {
	for _, c := range []struct{ name, login, heard, closed string }{
		{"wrong secret", "login t-1 guess", "refused\n", "identity"},
		{"nobody can tell", "login lost-1", "", "login-undecided"},
		{"without waiting", "login banned", "refused\n", "identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := guarded(t, time.Second)
				s, link := r.peer(t)
				hear(s, c.login)
				after(time.Second)
				if link.written() != c.heard || link.closedFor() != c.closed {
					t.Errorf("heard %q, closed for %q", link.written(), link.closedFor())
				}
				if _, devices := r.Table.Counts(); devices != 0 {
					t.Error("a device is in the table")
				}
			})
		})
	}
}

func TestADatagramsLoginThatCannotBeJudgedEndsItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		a.full = message.ErrFull
		s, link := r.peer(t)
		hear(s, "login t-1 1-t") // the next one begins anew: its codec takes it for a login
		if link.written() != "" || link.closedFor() != "login-undecided" {
			t.Errorf("heard %q, closed for %q", link.written(), link.closedFor())
		}
	})
}

func TestASessionThatEndsBeforeItsVerdictTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, time.Second)
		s, link := r.peer(t)
		hear(s, "login old-1 1-dlo")
		link.Close("idle")
		s.End()
		a.runs.Wait()
		if r.Table.Find("old-1") != nil {
			t.Error("a session that has ended speaks for a device")
		}
	})
}

func TestADeviceOfADatagramIsJudgedAsideAndItsMessageComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, time.Second)
		s, _ := r.peer(t)
		hear(s, "from meter-1 a", "from meter-1 a")
		after(time.Second)
		hear(s, "from meter-1 b", "from meter-1 c")
		a.questions(t, "meter-1")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("sent %v", got)
		}
		r.faults(t, FaultDropped, FaultDropped)
	})
}

// An address that another device had before speaks for nobody, and a device that is known
// from one address is not taken over by data from another.
func TestAnAddressProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		first, _ := r.peer(t)
		hear(first, "login t-1 1-t")
		hear(first, "data a")
		other, link := r.peer(t)
		hear(other, "data b")
		hear(other, "from t-1 c")
		hear(other, "login t-1 guess")
		if link.closedFor() != "identity" || r.Table.Find("t-1") != first {
			t.Errorf("closed for %q, the device moved: %v", link.closedFor(), r.Table.Find("t-1") != first)
		}
		first.End() // the address is given to somebody else
		second, _ := r.peer(t)
		hear(second, "data d")
		hear(second, "data d")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("sent %v", got)
		}
		a.questions(t, "t-1", "l", "t-1", "t-1", "l")
	})
}
