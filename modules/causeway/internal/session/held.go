package session

import (
	"context"
	"time"
)

// hold puts a device into quarantine: the link, where it has logged in as that device,
// or only its messages. False when the listener has no quarantine.
func (s *Session) hold(c Claim, login bool, refuse []byte) bool {
	q := s.profile.Quarantine
	if q == nil {
		return false
	}
	if !login && q.holds(c.Device, s) {
		return true
	}
	st := s.stand()
	c.Secret = c.Secret[:min(len(c.Secret), secretKept)]
	w := &ward{session: s, claim: c, login: login, refuse: refuse, since: time.Now()}
	st.mu.Lock()
	if st.ended {
		st.mu.Unlock()
		return false
	}
	if login {
		st.secret = c.Secret
		st.ward.Store(w)
	}
	st.mu.Unlock()
	if !login {
		st.remember(c, Verdict{Decision: Hold}, w.since)
	}
	s.turned(Turn{Kind: TurnQuarantined, Device: c.Device, Reason: reasonUnknown})
	for _, gone := range q.enter(w) {
		gone.evict(s)
	}
	s.present.Store(true) // it need not hurry any more
	return true
}

// evict ends what a device had that gave way to another, or to itself on another link.
func (w *ward) evict(by *Session) {
	switch {
	case w.session == by:
	case w.login:
		w.session.link.Close("quarantine-left")
	default: // its next message puts it in again
		w.session.stand().drop(w.claim.Device)
	}
}

// drop forgets a verdict.
func (st *standing) drop(device string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.known, device)
}

// isHeld tells whether the link is in quarantine.
func (s *Session) isHeld() bool {
	st := s.standing.Load()
	if st == nil {
		return false
	}
	w := st.ward.Load()
	return w != nil && !w.released.Load()
}

// heldDevice is the device that a link in quarantine has logged in as.
func (s *Session) heldDevice() string {
	if st := s.standing.Load(); st != nil {
		if w := st.ward.Load(); w != nil {
			return w.claim.Device
		}
	}
	return ""
}

// withheld keeps a frame of a link that is in quarantine; false for other links.
func (s *Session) withheld(b []byte, at time.Time) bool {
	st := s.standing.Load()
	if st == nil {
		return false
	}
	w := st.ward.Load()
	return w != nil && w.keep(b, at)
}

// discharge lets a device in.
func (s *Session) discharge(w *ward, v Verdict) {
	v.Decision = Accept
	w.mu.Lock()
	defer w.mu.Unlock()
	st, datagrams := s.stand(), s.link.Peer().Datagram()
	if w.login && w.more > 0 && !datagrams {
		s.link.Close("admitted")
		return
	}
	w.released.Store(true)
	st.remember(w.claim, v, time.Now())
	if !w.login {
		s.ousted(w.claim)
		return
	}
	if !s.enter(w.claim, v) {
		s.reject(w, elsewhere())
		return
	}
	if s.ousted(w.claim) {
		return
	}
	if !datagrams {
		s.takeKept(w)
	}
	st.ward.Store(nil)
}

// takeKept takes the frames that were kept, in order; the link's own goroutine waits for
// that before it takes another.
func (s *Session) takeKept(w *ward) {
	s.sideMu.Lock()
	defer s.sideMu.Unlock()
	l := s.takeLane(&s.aside, true)
	defer s.giveLane(l)
	for _, f := range w.frames {
		if s.pending.ended() {
			return
		}
		if err := s.pass(context.Background(), l, f.bytes, f.at); err != nil { // nothing waits in this lane
			s.fail(err)
			return
		}
	}
}

// reject refuses a device.
func (s *Session) reject(w *ward, v Verdict) {
	if !w.login {
		s.stand().remember(w.claim, v, time.Now())
		return
	}
	s.deny(w.claim.Device, v)
	s.tell(w.refuse)
	s.report(Fault{Kind: FaultIdentity, Err: refused(w.claim.Device, v)})
	s.link.Close(string(FaultIdentity))
}
