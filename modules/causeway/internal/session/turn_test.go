package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// told writes a turn down among the messages that were handed up, so that its place is
// seen.
func (u *fakeUplink) told(t Turn) {
	words := []string{[...]string{
		TurnConnected: "connected", TurnDisconnected: "disconnected", TurnAuthenticated: "authenticated",
		TurnRefused: "refused", TurnTakenOver: "taken-over", TurnQuarantined: "quarantined", TurnCommandSent: "sent",
		TurnCommandAnswered: "answered", TurnCommandExpired: "expired",
	}[t.Kind]}
	for _, word := range []string{t.Device, t.Command, t.CommandID} {
		if word != "" {
			words = append(words, word)
		}
	}
	if t.Reason != "" {
		words = append(words, "("+t.Reason+")")
	}
	if t.Elsewhere {
		words = append(words, "elsewhere")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bodies, u.receipts = append(u.bodies, strings.Join(words, " ")), append(u.receipts, nil)
}

func newToldRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.Turned = r.uplink.told
	return r
}

func (r *rig) journal(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.uplink.taken(); !slices.Equal(got, want) {
		t.Errorf("the journal is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (d *device) leave() {
	_ = d.conn.Close()
	<-d.served
}

// stage is a rig in its test.
type stage struct {
	*rig
	t *testing.T
}

func (s stage) enter() *device {
	s.t.Helper()
	return s.connect(s.t)
}

func TestTurnsStandBetweenTheMessagesWhereTheyHappened(t *testing.T) {
	cases := []struct {
		name  string
		setup func(*Profile)
		play  func(s stage)
		want  []string
	}{
		{"a login", nil, func(s stage) {
			d := s.enter()
			d.say("login t-1\nnote a\nlogin t-1\nnote b\n")
			d.leave()
		}, []string{"connected t-1", "a", "b", "disconnected t-1 (closed-by-device)"}},
		{"a takeover", nil, func(s stage) {
			old := s.enter()
			old.say("login t-1\nnote a\n")
			young := s.enter()
			young.say("login t-1\n")
			<-old.served
			young.say("note b\n")
			young.session.Disconnect("operator")
			<-young.served
		}, []string{
			"connected t-1", "a", "taken-over t-1", "connected t-1", "disconnected t-1 (taken-over) elsewhere", "b",
			"disconnected t-1 (operator)",
		}},
		{"a device that was away meanwhile", nil, func(s stage) {
			for range 2 {
				d := s.enter()
				d.say("login t-1\n")
				d.leave()
			}
		}, []string{
			"connected t-1", "disconnected t-1 (closed-by-device)", "connected t-1", "disconnected t-1 (closed-by-device)",
		}},
		{"two logins on one link", nil, func(s stage) {
			d := s.enter()
			d.say("login t-1\nnote a\nlogin t-2\nnote b\n")
			d.leave()
		}, []string{
			"connected t-1", "a", "connected t-2", "disconnected t-1 (logged-in-as-another)", "b",
			"disconnected t-2 (closed-by-device)",
		}},
		{"a link that says nothing", nil, func(s stage) { s.enter().leave() }, nil},
		{"devices that their messages name", nil, func(s stage) {
			first, second := s.enter(), s.enter()
			first.say("from m-1 a\nfrom m-2 b\n")
			second.say("from m-1 c\n")
			first.say("from m-1 d\n") // it hears both: told once
			second.leave()
			first.say("from m-1 e\n")
			first.leave()
		}, []string{
			"connected m-1", "a", "connected m-2", "b", "connected m-1", "c", "d",
			"disconnected m-1 (closed-by-device) elsewhere", "e",
			"disconnected m-1 (closed-by-device)", "disconnected m-2 (closed-by-device)",
		}},
		{"a device comes back to the link that it had before", nil, func(s stage) {
			first, second := s.enter(), s.enter()
			first.say("from m-1 a\n")
			second.say("from m-1 b\n")
			second.leave()
			first.say("from m-1 c\n")
		}, []string{
			"connected m-1", "a", "connected m-1", "b", "disconnected m-1 (closed-by-device)", "connected m-1", "c",
		}},
		{"links of one fixed id", func(p *Profile) { p.Device = "fixed" }, func(s stage) {
			first, second := s.enter(), s.enter()
			first.say("note a\n")
			second.say("note b\n")
			second.leave()
			first.say("note c\n")
			first.leave()
		}, []string{
			"connected fixed", "connected fixed", "a", "b", "disconnected fixed (closed-by-device)", "c",
			"disconnected fixed (closed-by-device)",
		}},
		{"strangers", nil, func(s stage) {
			d := s.enter()
			d.say("from stranger a\nfrom a\x01b a\nlogin stranger\n")
			<-d.served
			s.enter().say("login a\x01b\n")
		}, []string{
			"refused stranger (unknown-device)", "refused (illegal-id)", "refused stranger (unknown-device)",
			"refused (illegal-id)",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newToldRig(t)
				if c.setup != nil {
					c.setup(r.Profile)
				}
				c.play(stage{r, t})
				r.journal(t, c.want...)
			})
		})
	}
}

func TestADatagramsPeerIsConnectedByItsFirstAndGoneWhenItIsForgotten(t *testing.T) {
	r := newToldRig(t)
	link, conn := newFakeLink("udp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	s.Datagram([]byte("from m-1 a"), time.Now())
	s.Datagram([]byte("from m-1 b"), time.Now())
	link.Close("idle")
	s.Gone("idle")
	if got := fmt.Sprint(r.uplink.taken()); got != "[connected m-1 a b disconnected m-1 (idle)]" {
		t.Error(got)
	}
}

func TestTurnsOfCommands(t *testing.T) {
	for _, c := range []struct {
		name, command string
		then          func(d *device, cancel context.CancelFunc)
		want          []string
	}{
		{"answered", "ask", func(d *device, _ context.CancelFunc) { d.say("note a\nanswer 1 fine\n") },
			[]string{"sent t-1 ask 7", "a", "answered t-1 ask 7"}},
		{"answered with no", "ask", func(d *device, _ context.CancelFunc) { d.say("refuse 1\n") },
			[]string{"sent t-1 ask 7", "answered t-1 ask 7 (refused-by-device)"}},
		{"given up by the codec", "ask", func(d *device, _ context.CancelFunc) { d.say("give-up 1\n") },
			[]string{"sent t-1 ask 7", "expired t-1 ask 7 (no-answer)"}},
		{"sent, and never answered", "tell", nil, []string{"sent t-1 tell 7", "expired t-1 tell 7 (unconfirmed)"}},
		{"the codec does not know it", "unheard of", nil, nil},
		{"the device is busy", "busy", nil, nil},
		{"the device leaves", "ask", func(d *device, _ context.CancelFunc) { d.leave() },
			[]string{"sent t-1 ask 7", "disconnected t-1 (closed-by-device)", "expired t-1 ask 7 (disconnected)"}},
		{"the caller leaves", "ask", func(_ *device, cancel context.CancelFunc) { cancel() },
			[]string{"sent t-1 ask 7", "expired t-1 ask 7 (caller-gone)"}},
		{"time runs out", "ask", func(*device, context.CancelFunc) { time.Sleep(30 * time.Second) },
			[]string{"sent t-1 ask 7", "expired t-1 ask 7 (no-answer)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newToldRig(t)
				d := r.connect(t)
				d.say("login t-1\n")
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				end := make(chan struct{})
				go func() {
					defer close(end)
					_, _ = d.session.Give(ctx, Order{ID: "7", Name: c.command})
				}()
				synctest.Wait()
				if c.then != nil {
					c.then(d, cancel)
				}
				<-end
				r.journal(t, append([]string{"connected t-1"}, c.want...)...)
			})
		})
	}
}

func TestACommandThatNeverLeftIsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newToldRig(t)
		d := r.connect(t)
		d.say("login t-1\n")
		first := d.order(t.Context(), "ask", "") // and is not answered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = d.session.Give(ctx, Order{Device: "m-1", Name: "ask"})
		r.journal(t, "connected t-1", "sent t-1 ask", "expired m-1 ask (not-sent)")
		d.say("answer 1 fine\n")
		d.ended(first)
	})
}
