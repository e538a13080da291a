package session

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// absent checks that no link speaks for a device.
func (r *rig) absent(t *testing.T, device string) {
	t.Helper()
	synctest.Wait()
	if s, there := r.Table.Device(device); there {
		t.Errorf("%s is there: %+v", device, s)
	}
}

func TestWhoIsBanishedHasToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		d, other := r.connect(t), r.connect(t)
		d.say("login t-1 1-t\n")
		other.say("from meter-1 a\nfrom meter-2 b\n")
		for device, want := range map[string]int{"t-1": 1, "meter-1": 0, "nobody": 0} {
			if n := r.Table.Banish(device, "banned"); n != want {
				t.Errorf("%d links of %s are closed, want %d", n, device, want)
			}
		}
		d.closedFor("banned")
		other.closedFor("") // it speaks for others
		r.absent(t, "meter-1")
		other.say("from meter-1 c\nfrom meter-2 d\n")
		a.questions(t, "t-1", "meter-1", "meter-2", "meter-1")
		if n := r.Table.BanishAll(netip.MustParsePrefix("10.0.0.0/8"), "banned"); n != 0 {
			t.Errorf("%d links of other addresses are closed", n)
		}
	})
}

func TestABanReachesTheLinkThatAnotherOnesMessagesHide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		own, other := r.connect(t), r.connect(t)
		own.say("login t-1\n")
		other.say("login gate\nfrom t-1 a\n")
		if r.Table.Find("t-1") != other.session {
			t.Fatal("the message did not move the device")
		}
		if n := r.Table.Banish("t-1", "banned"); n != 1 {
			t.Errorf("%d links are closed", n)
		}
		own.closedFor("banned")
		other.closedFor("")
		r.absent(t, "t-1")
	})
}

func TestABanReachesEveryLinkThatRemembersTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		first, second := r.connect(t), r.connect(t)
		first.say("from meter-1 a\n")
		second.say("from meter-1 b\n")
		r.Table.Banish("meter-1", "banned")
		r.absent(t, "meter-1")
		a.banned = "meter-1"
		first.say("from meter-1 c\n")
		second.say("from meter-1 d\n")
		r.absent(t, "meter-1")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("sent %v", got)
		}
	})
}

func TestABanClosesTheLinksOfAFixedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Device = "press"
		first, second := r.connect(t), r.connect(t)
		if n := r.Table.Banish("press", "banned"); n != 2 {
			t.Errorf("%d links are closed", n)
		}
		first.closedFor("banned")
		second.closedFor("banned")
	})
}

// Somebody is banned while a verdict is on its way, which was asked for before.
func TestABanCountsForWhoIsBeingJudged(t *testing.T) {
	for _, c := range []struct{ name, say, device, closed string }{
		{"a login", "login t-1 1-t", "t-1", "banned"},
		{"a message", "from meter-1 a", "meter-1", ""},
	} {
		for _, transport := range []string{"tcp", "udp"} {
			t.Run(c.name+" over "+transport, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, _ := guarded(t, time.Second)
					var link *fakeLink
					over := func() {}
					if transport == "udp" {
						var s *Session
						s, link = r.peer(t)
						over = func() { s.Gone("") } // what the listener does upon the link's end
						hear(s, c.say)
					} else {
						d := r.connect(t)
						d.say(c.say + "\n")
						link = d.link
					}
					after(time.Second / 2)
					r.Table.Banish(c.device, "banned")
					after(time.Second)
					if c.closed != "" {
						over()
					}
					r.absent(t, c.device)
					if got := link.closedFor(); got != c.closed {
						t.Errorf("the link is closed for %q, want %q", got, c.closed)
					}
					if got := r.uplink.taken(); len(got) > 0 {
						t.Errorf("sent %v", got)
					}
				})
			})
		}
	}
}

func TestOtherDevicesBansAreNobodysBusiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Second)
		d := r.connect(t)
		d.say("login t-1 1-t\n")
		for range banishedKept {
			r.Table.Banish("t-2", "banned")
		}
		after(time.Second)
		d.heard("welcome\n")
		d.say("login t-3 3-t\n")
		for range banishedKept + 1 { // too many to remember them all
			r.Table.Banish("t-2", "banned")
		}
		after(time.Second)
		d.closedFor("judged-again")
	})
}

func TestALoginUnderAnotherIDEndsWhatTheLinkDidForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		d := r.connect(t)
		d.say("login old-1 1-dlo\nlogin t-1 1-t\n")
		r.absent(t, "old-1")
		d.say("from old-1 a\n")
		a.questions(t, "old-1", "t-1", "old-1")
		after(10 * time.Second) // the first's admission is over
		r.absent(t, "old-1")
		d.closedFor("")
		r.Table.Banish("old-1", "banned")
		d.closedFor("")
		r.Table.Banish("t-1", "banned")
		d.closedFor("banned")
	})
}

func TestADeviceThatMessagesNameIsTakenOutWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		r.Turned, r.Idle = r.uplink.told, 5*time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Table.Run(ctx)
		d := r.connect(t)
		d.say("from meter-1 a\n")
		after(50 * time.Second)
		if r.Table.Find("meter-1") == nil {
			t.Error("it is out too early")
		}
		after(11 * time.Second)
		r.absent(t, "meter-1")
		r.journal(t, "connected meter-1", "a", "disconnected meter-1 (expired)")
		d.closedFor("")
	})
}

// beside is a listener beside the rig's, with the same table, that asks nothing.
func (r *rig) beside() *rig {
	p := &Profile{
		Listener: "open", CodecName: "toy", Output: "telemetry", Codec: toy{},
		FrameBytes: 1024, LoginBytes: 4096, LoginTime: 10 * time.Second, Idle: time.Minute,
		Uplink: r.uplink, Router: fakeRouter{}, Table: r.Table, Observer: r.observer, Turned: r.Turned,
	}
	return &rig{Profile: p, uplink: r.uplink, observer: r.observer, draining: r.draining, drain: r.drain}
}

func TestALinkThatHasShownLessDoesNotTakeADevice(t *testing.T) {
	for _, c := range []struct{ name, say, heard, closed string }{
		{"by a login", "login t-1\n", "refused\n", "identity"},
		{"by a message", "from t-1 a\n", "", ""},
		{"by a login on a link of another", "login gate\nlogin t-1\n", "welcome\nrefused\n", "identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := guarded(t, 0)
				own, open := r.connect(t), r.beside()
				own.say("login t-1 1-t\n")
				open.Turned = r.uplink.told
				d := open.connect(t)
				d.say(c.say)
				d.heard(c.heard)
				d.closedFor(c.closed)
				own.closedFor("")
				if r.Table.Find("t-1") != own.session {
					t.Error("the device was taken")
				}
				r.faults(t, FaultIdentity)
				if got := r.uplink.taken(); !slices.Contains(got, "refused t-1 (connected-elsewhere)") || slices.Contains(got, "a") {
					t.Errorf("the journal is %v", got)
				}
				own.leave()
				next := open.connect(t)
				next.say("login t-1\n")
				next.heard("welcome\n") // whoever comes first to an open listener
				again := r.connect(t)
				again.say("login t-1 1-t\n")
				again.heard("welcome\n")
				next.closedFor("taken-over")
			})
		})
	}
}

func TestALinkOfAFixedIDDoesNotTakeADeviceThatHasShownMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		own := r.connect(t)
		own.say("login t-1 1-t\n")
		open := r.beside()
		open.Device = "t-1"
		d := open.connect(t)
		d.say("data a\n")
		d.heard("nak a\n")
		if r.Table.Find("t-1") != own.session {
			t.Error("the device was taken")
		}
	})
}

func TestAFixedIDIsSpokenForOnceItMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, time.Second)
		r.Device = "meter-1"
		d := r.connect(t)
		r.absent(t, "meter-1")
		after(time.Second)
		if r.Table.Find("meter-1") != d.session {
			t.Error("nobody speaks for it")
		}
		d.say("note a\n")
		a.questions(t, "meter-1")
		r.Device = "t-1" // has shown nothing
		r.connect(t)
		after(time.Second)
		r.absent(t, "t-1")
		a.full = ErrJudging
		r.Device = "meter-2"
		d = r.connect(t)
		r.absent(t, "meter-2")
		d.say("note b\n")
		after(time.Second)
		if r.Table.Find("meter-2") != d.session {
			t.Error("its first message was not judged")
		}
	})
}
