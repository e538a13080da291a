package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

var (
	// ErrJudging tells that a device, or the link's login, is being judged: what it sends
	// meanwhile is not taken, and it sends again.
	ErrJudging = errors.New("the device is being judged")
	// ErrUndecided tells that nobody could say whether a device may come in.
	ErrUndecided = errors.New("nobody can tell whether the device may come in")
	// ErrHeld tells that a device is in quarantine.
	ErrHeld = errors.New("the device is in quarantine")
)

// judge decides about a claim that no verdict is remembered for. On a stream it waits,
// so that frames stay unread; where nothing may wait, the claim is judged aside, and the
// verdict is pending.
func (l *lane) judge(c Claim, id *codec.Identity) Verdict {
	s := l.session
	admission := s.profile.Admission
	if admission == nil {
		return Verdict{Decision: Accept}
	}
	kept := id == nil || s.link.Peer().Datagram() // a login on a stream is judged each time
	if st := s.standing.Load(); st != nil && kept {
		if v, ok := st.recall(c, time.Now()); ok && (v.Decision != pending || l.hasty) {
			return v
		}
	}
	v, ok := admission.Now(c)
	switch {
	case ok:
	case l.hasty:
		return l.judgeAside(c, id)
	default:
		ctx, cancel := s.judging()
		v = admission.Admit(ctx, c)
		cancel()
		if kept {
			s.stand().remember(c, v, time.Now())
		}
	}
	return v
}

// judging bounds the waiting for a verdict: by the end of the link, and the time that a
// device has for its login.
func (s *Session) judging() (context.Context, context.CancelFunc) {
	limit := time.Now().Add(s.profile.LoginTime)
	if !s.present.Load() {
		limit = s.began.Add(s.profile.LoginTime)
	}
	ctx := context.Background()
	if stream, ok := s.link.(Stream); ok {
		ctx = linkContext{Context: ctx, link: stream}
	}
	return context.WithDeadline(ctx, limit)
}

// judgeAside has a claim judged by another goroutine. Its outcome is written when the
// verdict is there, for a login only; the messages come again.
func (l *lane) judgeAside(c Claim, id *codec.Identity) Verdict {
	s, st := l.session, l.session.stand()
	var words answer
	if id != nil {
		var err error
		if words, err = l.words(id); err != nil {
			return Verdict{Decision: Undecided, Reason: err.Error()}
		}
	}
	if !st.begin(c) {
		return Verdict{Decision: Undecided, Reason: "too many devices on one link"}
	}
	if id != nil {
		st.waiting.Store(true)
	}
	if err := s.profile.Admission.Start(c, func(v Verdict) { s.judged(c, id != nil, words, v) }); err != nil {
		st.forget(c.Device)
		st.waiting.Store(false)
		return Verdict{Decision: Undecided, Reason: err.Error()}
	}
	return Verdict{Decision: pending}
}

// answer is what a login is answered with, framed.
type answer struct{ accept, refuse []byte }

// words frames the answers to the login in the lane's outcome; its reply goes with the
// one that lets the device in.
func (l *lane) words(id *codec.Identity) (a answer, err error) {
	if a.refuse, err = l.frame(nil, id.Refuse); err != nil {
		return a, err
	}
	if a.accept, err = l.frame(nil, id.Accept); err != nil {
		return a, err
	}
	a.accept, err = l.frame(a.accept, l.out.Reply)
	return a, err
}

// judged takes the verdict about a claim that was judged aside.
func (s *Session) judged(c Claim, login bool, words answer, v Verdict) {
	st := s.stand()
	st.remember(c, v, time.Now())
	if !login {
		s.ousted(c)
		return
	}
	defer st.waiting.Store(false)
	switch v.Decision {
	case Accept:
		if !s.enter(c, v) {
			s.turnAway(c, words.refuse, elsewhere())
			return
		}
		if s.ousted(c) {
			return
		}
		st.waiting.Store(false) // before the device hears of it, and goes on
		s.tell(words.accept)
	case Hold:
		if s.hold(c, true, words.refuse) {
			st.waiting.Store(false)
			s.tell(words.accept)
			return
		}
		s.turnAway(c, words.refuse, v)
	case Undecided:
		s.deny(c.Device, v)
		s.report(Fault{Kind: FaultIdentity, Err: undecided(c.Device, v)})
		if s.identity.Load() == nil {
			s.link.Close("login-undecided")
		}
	default:
		s.turnAway(c, words.refuse, v)
	}
}

// turnAway tells a device that was judged aside that it may not come in. Where another
// has logged in on the link it goes on: a datagram's address proves nothing.
func (s *Session) turnAway(c Claim, refuse []byte, v Verdict) {
	s.deny(c.Device, v)
	s.report(Fault{Kind: FaultIdentity, Err: refused(c.Device, v)})
	if s.identity.Load() == nil {
		s.tell(refuse)
		s.link.Close(string(FaultIdentity)) // at once: the device may try again as soon as it hears
		return
	}
	st := s.stand()
	st.drop(c.Device) // the next one may have the right secret
	st.waiting.Store(false)
	s.tell(refuse)
}

// tell writes framed bytes.
func (s *Session) tell(b []byte) {
	if len(b) == 0 {
		return
	}
	if err := s.link.Send(b); err != nil {
		s.fault(FaultSend, fmt.Errorf("%w: %w", errAnswer, err))
	}
}

// deny tells that a device was not let in by a verdict.
func (s *Session) deny(device string, v Verdict) {
	switch {
	case v.elsewhere:
		s.refused(device, ReasonElsewhere)
	case v.Decision == Undecided:
		s.refused(device, reasonUndecided)
	case v.By == "":
		s.refused(device, reasonUnknown)
	default:
		s.refused(device, reasonDenied)
	}
}

func refused(device string, v Verdict) error {
	if v.Reason == "" {
		return fmt.Errorf("device %q: %w", device, codec.ErrRefused)
	}
	return fmt.Errorf("device %q: %w: %s", device, codec.ErrRefused, v.Reason)
}

func undecided(device string, v Verdict) error {
	return fmt.Errorf("device %q: %w: %s", device, ErrUndecided, v.Reason)
}

// identify judges the device's claim. Without an error it tells whether the rest of the
// outcome is to be carried out.
func (l *lane) identify(id *codec.Identity) (on bool, err error) {
	s := l.session
	if err := checkDevice(id.Device); err != nil {
		s.refused(id.Device, reasonIllegal)
		return false, errors.Join(l.write(id.Refuse), err)
	}
	c := s.claim(*id)
	v := l.judge(c, id)
	if v.Decision == Accept && !s.enter(c, v) {
		v = elsewhere()
	}
	switch v.Decision {
	case Accept:
		if s.ousted(c) { // which has closed the link
			return false, &ending{reason: reasonDenied}
		}
		return true, l.write(id.Accept)
	case pending:
		return false, nil
	case Undecided:
		s.deny(c.Device, v)
		s.report(Fault{Kind: FaultIdentity, Err: undecided(c.Device, v)})
		return false, &ending{reason: "login-undecided"}
	case Hold:
		words, err := l.words(id)
		if err != nil {
			return false, err
		}
		if s.hold(c, true, words.refuse) {
			s.tell(words.accept)
			return false, nil
		}
	}
	if s.link.Peer().Datagram() && s.vouched() {
		words, err := l.words(id)
		if err == nil {
			s.turnAway(c, words.refuse, v)
		}
		return false, err
	}
	s.deny(c.Device, v)
	if err := l.write(id.Refuse); err != nil {
		return false, err
	}
	return false, refused(c.Device, v)
}

// admitted judges the device that a message is of, which is not the one that the link
// has logged in as. An error that wraps message.ErrRefused refuses the message;
// otherwise it may come again.
func (l *lane) admitted(c Claim) (v Verdict, err error) {
	s := l.session
	if s.isHeld() {
		return v, fmt.Errorf("device %q: %w", c.Device, ErrHeld)
	}
	v = l.judge(c, nil)
	switch v.Decision {
	case Accept:
		return v, nil
	case Hold:
		if s.hold(c, false, nil) {
			return v, fmt.Errorf("device %q: %w", c.Device, ErrHeld)
		}
	case pending:
		return v, fmt.Errorf("device %q: %w", c.Device, ErrJudging)
	case Undecided:
		return v, undecided(c.Device, v)
	}
	s.deny(c.Device, v)
	return v, fmt.Errorf("%w: %w", message.ErrRefused, refused(c.Device, v))
}

// private tells whether bytes may hold the secret of a login: before the device is let
// in anything may.
func (s *Session) private(b []byte) bool {
	if !s.present.Load() || s.isHeld() {
		return true
	}
	st := s.standing.Load()
	if st == nil {
		return false
	}
	st.mu.Lock()
	secret := st.secret
	st.mu.Unlock()
	return shows(b, secret)
}

// isJudging tells whether the link's login is being judged aside.
func (s *Session) isJudging() bool {
	st := s.standing.Load()
	return st != nil && st.waiting.Load()
}
