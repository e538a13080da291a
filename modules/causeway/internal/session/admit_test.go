package session

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeAdmission lets in who shows the secret that is the id backwards, after a while. Whoever
// begins with "new" is held, with "lost" undecided, and with "old" expires.
type fakeAdmission struct {
	takes time.Duration
	full  error // what Start fails with

	banned string // one more of these

	mu    sync.Mutex
	asked []string
	runs  sync.WaitGroup
}

func (a *fakeAdmission) Now(c Claim) (Verdict, bool) {
	return Verdict{Decision: Refuse, Reason: "banned"}, c.Device == "banned" || c.Device == a.banned
}

func (a *fakeAdmission) Admit(ctx context.Context, c Claim) Verdict {
	a.mu.Lock()
	a.asked = append(a.asked, c.Device)
	a.mu.Unlock()
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return Verdict{Decision: Undecided, Reason: "no time left"}
	}
	letters := []byte(c.Device)
	slices.Reverse(letters)
	switch {
	case strings.HasPrefix(c.Device, "new"):
		return Verdict{Decision: Hold}
	case strings.HasPrefix(c.Device, "lost"):
		return Verdict{Decision: Undecided, Reason: "away"}
	case strings.HasPrefix(c.Device, "meter"):
		return Verdict{Decision: Accept, Trust: TrustRule, By: "pattern", Expires: time.Now().Add(time.Minute)}
	case c.Secret != string(letters):
		return Verdict{Decision: Refuse, By: "table", Reason: "wrong password"}
	case strings.HasPrefix(c.Device, "old"):
		return Verdict{Decision: Accept, Trust: TrustProof, By: "table", Expires: time.Now().Add(5 * time.Second)}
	default:
		return Verdict{Decision: Accept, Trust: TrustProof, By: "table"}
	}
}

func (a *fakeAdmission) Start(c Claim, done func(Verdict)) error {
	if a.full != nil {
		return a.full
	}
	a.runs.Go(func() { done(a.Admit(context.Background(), c)) })
	return nil
}

func (a *fakeAdmission) questions(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.asked, want) {
		t.Errorf("asked about %v, want %v", a.asked, want)
	}
}

// after lets time pass, and what it brings.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// guarded is a rig whose listener has a fakeAdmission.
func guarded(t *testing.T, takes time.Duration) (*rig, *fakeAdmission) {
	t.Helper()
	r, a := newRig(t), &fakeAdmission{takes: takes}
	r.Admission = a
	r.Quarantine = NewQuarantine(QuarantineBounds{Devices: 2, Frames: 3, Bytes: 100})
	t.Cleanup(a.runs.Wait)
	return r, a
}

func TestAStreamWaitsForTheVerdictAndItsFramesStayUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Second)
		d := r.connect(t)
		d.say("login t-1 1-t\ndata a\n")
		d.heard("")
		after(time.Second)
		d.heard("welcome\n")
		r.uplink.settle(t, "a", nil)
		d.heard("welcome\nack a\n")
		if s, _ := r.Table.Device("t-1"); s.AdmittedBy != "table" || s.Expires != nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestWhatCameBeforeALoginDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 5*time.Second)
		d := r.connect(t)
		d.say("from meter-1 a\n")
		after(5 * time.Second)
		d.say("from meter-1 b\nlogin t-1 1-t\nnote c\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("sent %v", got)
		}
		after(5 * time.Second)
		if got := r.uplink.devices; !slices.Equal(got, []string{"meter-1", "meter-1", "t-1"}) {
			t.Errorf("sent messages of %v", got)
		}
	})
}

func TestAWrongSecretIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Second)
		d := r.connect(t)
		d.say("login t-1 guess\ndata a\n")
		after(time.Second)
		d.heard("refused\n")
		d.closedFor("identity")
		r.faults(t, FaultIdentity)
		if text := r.observer.faults[0].Err.Error(); strings.Contains(text, "guess") || !strings.Contains(text, "wrong password") {
			t.Errorf("the fault says %q", text)
		}
		if len(r.uplink.taken()) > 0 {
			t.Error("a message of a device that was refused was sent")
		}
	})
}

func TestTheTimeForALoginRunsOnWhileItIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Hour)
		d := r.connect(t)
		after(6 * time.Second)
		d.say("login t-1 1-t\n")
		after(3900 * time.Millisecond)
		d.closedFor("")
		after(200 * time.Millisecond)
		d.heard("") // a refusal would be about the device
		d.closedFor("login-undecided")
	})
}

func TestTheEndOfALinkEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Hour)
		d := r.connect(t)
		d.say("login t-1 1-t\n")
		d.link.Close("gateway-stopped")
		<-d.served
	})
}

func TestWhoNamesNobodyIsJudgedAsTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, 0)
		d := r.connect(t)
		d.say("data a\n")
		d.heard("nak a\n")
		a.questions(t, "l")
		r.faults(t, FaultIdentity)
	})
}

func TestAnAdmissionThatExpiresEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("login old-1 1-dlo\n")
		d.heard("welcome\n")
		if s, _ := r.Table.Device("old-1"); s.Expires == nil || !s.Expires.Equal(time.Now().Add(5*time.Second).UTC()) {
			t.Errorf("status %+v", s)
		}
		after(4 * time.Second)
		d.closedFor("")
		after(time.Second)
		d.closedFor("expired")
	})
}

func TestEachDeviceOfALinkIsJudgedOnceAndAgainWhenItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := guarded(t, time.Second)
		d := r.connect(t)
		for range 3 {
			d.say("from meter-1 a\nfrom meter-2 b\nfrom stranger c\n")
			after(5 * time.Second)
		}
		a.questions(t, "meter-1", "meter-2", "stranger")
		after(50 * time.Second)
		d.say("from meter-1 a\n")
		after(time.Second)
		a.questions(t, "meter-1", "meter-2", "stranger", "meter-1")
		if got := r.uplink.devices; !slices.Equal(got, []string{
			"meter-1", "meter-2", "meter-1", "meter-2", "meter-1", "meter-2", "meter-1",
		}) {
			t.Errorf("messages of %v", got)
		}
	})
}

func TestLoginsThatTakeOverAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var got []string
		r.Turned = func(turn Turn) {
			if turn.Kind == TurnTakenOver {
				got = append(got, turn.Device)
			}
		}
		for range 3 {
			r.connect(t).say("login t-1\n")
		}
		r.connect(t).say("from t-1 a\n") // names it, and has not logged in
		if !slices.Equal(got, []string{"t-1", "t-1"}) {
			t.Errorf("taken over: %v", got)
		}
	})
}

func TestWhatMayHoldASecretIsPrivate(t *testing.T) {
	for _, c := range []struct {
		name, say string
		private   bool
	}{
		{"before the login", "nonsense 1-t\n", true},
		{"after it", "login t-1 1-t\nnonsense\n", false},
		{"the secret itself", "login t-1 1-t\nnonsense 1-t\n", true},
		{"the secret in hexadecimal", "login t-1 1-t\nnonsense 312d74\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := guarded(t, 0)
				d := r.connect(t)
				d.say(c.say)
				synctest.Wait()
				if f := r.observer.faults; len(f) != 1 || f[0].Private != c.private {
					t.Errorf("faults %v", f)
				}
			})
		})
	}
}

func TestAClaimIsPrintedWithoutItsSecret(t *testing.T) {
	c := Claim{Device: "t-1", Secret: "hunter2"}
	if text := c.String() + c.GoString(); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

func TestTurnsOfDevicesThatAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Second)
		r.Turned = r.uplink.told
		s, link := r.peer(t)
		for _, login := range []string{"login t-1 1-t", "login t-1 guess"} {
			hear(s, login)
			after(time.Second)
		}
		link.Close("idle")
		s.Gone("idle")
		for _, login := range []string{"login lost-1", "login banned", "login new-1", "login t-2 guess"} {
			d := r.connect(t)
			d.say(login + "\n")
			after(time.Second)
			d.leave()
		}
		r.journal(t, "authenticated t-1", "connected t-1", "refused t-1 (not-authenticated)", "disconnected t-1 (idle)",
			"refused lost-1 (undecided)", "refused banned (unknown-device)", "quarantined new-1 (unknown-device)",
			"refused t-2 (not-authenticated)")
	})
}
