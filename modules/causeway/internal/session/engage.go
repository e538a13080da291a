package session

import (
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// edition is a codec that a profile came to use later; nil is its first.
type edition struct{ codec codec.Codec }

// engagement is a session's dialogue, and what it can do.
type engagement struct {
	edition   *edition
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
// Nothing that was received is decoded twice or left out.
func (p *Profile) Swap(c codec.Codec) { p.swapped.Store(&edition{codec: c}) }

// inUse is the codec of new links.
func (p *Profile) inUse() (codec.Codec, *edition) {
	if e := p.swapped.Load(); e != nil {
		return e.codec, e
	}
	return p.Codec, nil
}

// engage begins a dialogue.
func (s *Session) engage() (e *engagement, err error) {
	defer recovered(&err)
	c, edition := s.profile.inUse()
	d, err := c.Begin(s.link.Peer())
	if err != nil {
		return nil, fmt.Errorf("begin %s dialogue: %w", s.profile.CodecName, err)
	}
	e = &engagement{edition: edition, dialogue: d}
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
	if old.edition == s.profile.swapped.Load() || s.pending.busy() {
		return
	}
	e, err := s.engage()
	if err == nil {
		err = s.resume(old, e)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	switch {
	case err != nil:
		stay := *old
		if stay.edition = s.profile.swapped.Load(); e != nil {
			stay.edition = e.edition
			s.release(e)
		}
		s.engaged.Store(&stay)
		if !errors.Is(err, errors.ErrUnsupported) {
			s.report(Fault{Kind: kindOf(err), Err: fmt.Errorf("go over to another codec: %w", err)})
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
	id := s.identity.Load()
	if id == nil {
		return nil
	}
	r, ok := e.dialogue.(codec.Resumer)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.Resume(*id)
}

// release closes a dialogue that is not used any more.
func (s *Session) release(e *engagement) {
	var err error // a panic at the end of a dialogue has nobody left to cost
	defer recovered(&err)
	codec.Close(e.dialogue)
}
