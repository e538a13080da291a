package session

import (
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// enter lets a device in that has logged in. A second login with the same id takes over:
// the old link is closed. Where that has shown more this one is not let in, and enter is
// false. A login with another id on this link ends what it did for the first.
func (s *Session) enter(c Claim, v Verdict) bool {
	before, again := s.identity.Load(), s.loggedIn(c.Device)
	if !again {
		device := c.Device
		s.identity.Store(&device)
	}
	if (!again || v.By != "") && !s.profile.Table.claim(c.Device, s, v) {
		s.identity.Store(before)
		return false
	}
	if !again && before != nil {
		s.profile.Table.release(*before, s, reasonOtherLogin)
	}
	s.present.Store(true)
	if v.By == "" && v.Expires.IsZero() && s.standing.Load() == nil {
		return true // nothing has judged it: most listeners
	}
	st := s.stand()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.login, st.secret = v, c.Secret[:min(len(c.Secret), secretKept)]
	if st.expiry != nil {
		st.expiry.Stop()
		st.expiry = nil
	}
	if !v.Expires.IsZero() && !st.ended {
		st.expiry = time.AfterFunc(time.Until(v.Expires), func() { s.link.Close(reasonExpired) })
	}
	return true
}

// introduce lets the session speak for the fixed id of its listener, as soon as it may:
// its device may wait for a command before it says a word.
func (s *Session) introduce(device string) {
	c := s.claim(codec.Identity{Device: device})
	c.Named = false
	in := func(v Verdict) {
		if v.Decision == Accept && s.bind(device, v) {
			s.ousted(c)
		}
	}
	admission := s.profile.Admission
	if admission == nil {
		in(Verdict{Decision: Accept})
		return
	}
	if v, told := admission.Now(c); told {
		in(v)
		return
	}
	st := s.stand()
	st.begin(c)
	if err := admission.Start(c, func(v Verdict) {
		st.remember(c, v, time.Now())
		in(v)
	}); err != nil {
		st.forget(device) // too many are judged: its first message is
	}
}

// claim is the claim that an identity is, from now on.
func (s *Session) claim(id codec.Identity) Claim {
	return Claim{
		Link: s.link, Device: id.Device, Secret: id.Secret, Named: true, since: s.profile.Table.banished.count.Load(),
	}
}

// loginVerdict is what let the device in that the link has logged in as.
func (s *Session) loginVerdict() Verdict {
	st := s.standing.Load()
	if st == nil {
		return Verdict{Decision: Accept}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.login
}

// leave ends what the standing holds, at the end of the session.
func (st *standing) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ended = true
	if st.expiry != nil {
		st.expiry.Stop()
	}
}

// vouched tells whether something has judged the device that the link speaks for.
func (s *Session) vouched() bool {
	st := s.standing.Load()
	if st == nil || s.identity.Load() == nil {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.login.By != ""
}
