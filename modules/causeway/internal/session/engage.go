package session

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Edition is one of the codecs that a profile uses one after the other.
type Edition struct {
	codec  codec.Codec
	insist bool // links that cannot go over to it are closed
	users  atomic.Int64
}

// Users is how many links have a dialogue of it.
func (e *Edition) Users() int { return int(e.users.Load()) }

// engagement is a session's dialogue, and what it can do.
type engagement struct {
	edition   *Edition
	tried     *Edition // to which the link could not go over
	dialogue  codec.Dialogue
	framer    codec.Framer
	commander codec.Commander
	ticker    codec.Ticker
	splitter  codec.Splitter
}

// Swap gives the profile another codec, with the same framing. New links begin with it.
// A link at work goes over to it between two frames, once no command waits for an
// answer: another dialogue begins for it, and where the device has logged in, that one is
// told so by Resume. Where it cannot be told, the link keeps its dialogue until it ends.
// With insist such a link is closed instead, in good order. Nothing that was received is
// decoded twice or left out. It returns what was in use before, which must be kept in
// service until it has no users.
func (p *Profile) Swap(c codec.Codec, insist bool) (before *Edition) {
	p.inUse() // there is one before
	return p.edition.Swap(&Edition{codec: c, insist: insist})
}

// Current is the codec that new links begin with, for decoding without a link. It is
// kept in service as long as the configuration names it.
func (p *Profile) Current() codec.Codec { return p.inUse().codec }

// inUse is the edition of new links.
func (p *Profile) inUse() *Edition {
	if e := p.edition.Load(); e != nil {
		return e
	}
	p.edition.CompareAndSwap(nil, &Edition{codec: p.Codec})
	return p.edition.Load()
}

// join makes the caller a user of the edition of new links. Who has exchanged an edition
// and then sees no users may close it: none comes any more.
func (p *Profile) join() *Edition {
	for {
		e := p.inUse()
		e.users.Add(1)
		if p.inUse() == e {
			return e
		}
		e.users.Add(-1) // exchanged meanwhile, and perhaps closed
	}
}

// engage begins a dialogue of the edition that is in use. It is returned with an error
// too, for its edition.
func (s *Session) engage() (e *engagement, err error) {
	e = &engagement{edition: s.profile.join()}
	defer func() {
		if err != nil {
			e.edition.users.Add(-1)
		}
	}()
	defer recovered(&err)
	d, err := e.edition.codec.Begin(s.link.Peer())
	if err != nil {
		return e, fmt.Errorf("begin %s dialogue: %w", s.profile.CodecName, err)
	}
	e.dialogue = d
	e.framer, _ = d.(codec.Framer)
	e.commander, _ = d.(codec.Commander)
	e.ticker, _ = d.(codec.Ticker)
	e.splitter, _ = d.(codec.Splitter)
	return e, nil
}

// renew goes over to the codec that the profile uses by now. It is called between two
// frames, by who receives them.
func (s *Session) renew() {
	old := s.engaged.Load()
	if newest := s.profile.inUse(); old.edition == newest || old.tried == newest || s.pending.busy() {
		return
	}
	e, err := s.engage()
	begun := err == nil
	if begun {
		err = s.resume(old, e)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	switch {
	case err != nil:
		if begun {
			s.release(e)
		}
		stay := *old
		stay.tried = e.edition
		s.engaged.Store(&stay)
		switch {
		case !errors.Is(err, errors.ErrUnsupported):
			s.report(Fault{Kind: kindOf(err), Err: fmt.Errorf("go over to another codec: %w", err)})
		case stay.tried.insist:
			s.acks.finish("codec-exchanged")
		}
	case s.over, s.pending.busy(): // meanwhile; a command's answer is for the dialogue that sent it
		s.release(e)
	default:
		s.engaged.Store(e)
		s.release(old)
	}
}

// resume tells a new dialogue what the old one knew of the device. The error wraps
// errors.ErrUnsupported where it cannot be told.
func (s *Session) resume(old, e *engagement) (err error) {
	defer recovered(&err)
	if s.profile.Framing == nil && (old.framer == nil) != (e.framer == nil) {
		return fmt.Errorf("the framing changes: %w", errors.ErrUnsupported)
	}
	device := ""
	if id := s.identity.Load(); id != nil {
		device = *id
	} else if device = s.heldDevice(); device == "" {
		return nil
	}
	r, ok := e.dialogue.(codec.Resumer)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.Resume(device)
}

// release closes a dialogue that is not used any more.
func (s *Session) release(e *engagement) {
	var err error // a panic at the end of a dialogue has nobody left to cost
	defer recovered(&err)
	e.edition.users.Add(-1)
	codec.Close(e.dialogue)
}
