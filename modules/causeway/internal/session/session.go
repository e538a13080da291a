package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// Link is what a session needs of its link.
type Link interface {
	// Send never blocks; it copies.
	Send(b []byte) error
	// Close flushes what Send took, and closes. It is idempotent.
	Close(reason string)
	Peer() codec.Peer
}

// Session is the life of one link. The zero value is not usable; see Begin.
type Session struct {
	profile *Profile
	link    Link
	began   time.Time
	epoch   uint64
	seq     atomic.Uint64

	engaged atomic.Pointer[engagement] // written with turn held

	turn    sync.Mutex // one dialogue call at a time
	over    bool       // the dialogue is closed; guarded by turn
	main    *lane      // of the link's own goroutine; nil while the link rests, and between datagrams
	speaks  speaking   // of the main lane
	sideMu  sync.Mutex // one command or tick at a time
	aside   speaking   // of its lane
	acks    acknowledgements
	pending commands

	identity atomic.Pointer[string] // the id that the device logged in with
	present  atomic.Bool            // an identity or a message has come
	last     atomic.Int64           // UnixNano of the last frame
	frames   atomic.Uint64
	bound    binding
	shifts   atomic.Uint64            // changes when a device was taken out of bound
	standing atomic.Pointer[standing] // nil where nobody was judged for longer
	doubles  atomic.Uint64            // logins of the device that took over from an open link, in a row
	asked    time.Time                // when the session began to wait for the frame after the last
	read     int                      // bytes before the first identity or message
	tally    tally                    // of the link's own goroutine
	gone     sync.Once
}

// Begin starts the dialogue of a link. On an error the link is not usable and the
// caller closes it.
func Begin(p *Profile, link Link) (*Session, error) {
	s := &Session{profile: p, link: link, began: time.Now(), epoch: newEpoch()}
	s.last.Store(s.began.UnixNano())
	s.asked = s.began
	s.acks.link, s.acks.profile = link, p
	e, err := s.engage()
	if err != nil {
		return nil, err
	}
	s.engaged.Store(e)
	p.Table.enter(s)
	if p.Device != "" {
		s.introduce(p.Device)
	}
	return s, nil
}

// tally is what the observer is not told yet. Counters are shared by all links, so they
// are told once for each read, which may bring hundreds of frames.
type tally struct{ frames, bytes, messages int }

// count tells the observer.
func (s *Session) count() {
	t := s.tally
	s.tally = tally{}
	if t.frames > 0 {
		s.frames.Add(uint64(t.frames)) //nolint:gosec // a count
		s.profile.Observer.Received(t.frames, t.bytes)
	}
	if t.messages > 0 {
		s.profile.Observer.Sent(t.messages)
	}
}

// newEpoch is distinct for each session of a device, over restarts too: the time
// in milliseconds, and 20 random bits against sessions of one millisecond and
// clocks that were set back.
func newEpoch() uint64 {
	return uint64(time.Now().UnixMilli())<<20 | rand.Uint64N(1<<20) //nolint:gosec // needs to be distinct, not secret
}

// recovered turns a panic into an error, so that a codec costs its own link only.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: panic: %v at %.2000s", codec.ErrBroken, v, debug.Stack())
	}
}

// receive gives a frame to the dialogue; the outcome is the lane's.
func (s *Session) receive(f codec.Frame, out *codec.Outcome) (err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	defer recovered(&err)
	out.Reset()
	return s.engaged.Load().dialogue.Receive(f, out)
}

// split lets a dialogue that cuts the stream itself do so, in its turn. An error
// of no kind ends the link as a protocol violation, since nothing tells where the
// next frame begins.
func (s *Session) split(data []byte, atEOF bool) (advance int, b []byte, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	defer recovered(&err)
	advance, b, err = s.engaged.Load().framer.Split(data, atEOF)
	if err != nil && !errors.Is(err, codec.ErrProtocol) && !errors.Is(err, codec.ErrMalformed) {
		err = fmt.Errorf("%w: %w", codec.ErrProtocol, err)
	}
	return advance, b, err
}

// take processes one frame. It returns an error when the link has to be closed.
func (s *Session) take(ctx context.Context, b []byte, at time.Time) error {
	s.tally.frames++
	s.tally.bytes += len(b)
	if s.withheld(b, at) {
		return nil
	}
	s.pending.raw(b)
	return s.pass(ctx, s.main, b, at)
}

// pass gives a frame to the dialogue and carries out what it makes of it.
func (s *Session) pass(ctx context.Context, l *lane, b []byte, at time.Time) error {
	err := s.receive(codec.Frame{Bytes: b, At: at}, &l.out)
	switch {
	case errors.Is(err, codec.ErrBroken):
		return aboutFrame(err, b) // what is in the outcome is half done
	case err != nil:
		l.out.Messages, l.out.Ack = l.out.Messages[:0], nil
	}
	if lerr := l.process(ctx, at); errors.Is(lerr, codec.ErrBroken) {
		return aboutFrame(lerr, b)
	} else if lerr != nil {
		return lerr
	}
	switch kind := kindOf(err); {
	case err == nil:
		return nil
	case kind == FaultMalformed:
		s.report(Fault{Kind: FaultMalformed, Err: err, Frame: b})
		return nil
	case kind == FaultProtocol:
		return aboutFrame(err, b)
	default:
		if kind == FaultIdentity {
			s.refused(s.known(), reasonCodec)
		}
		return err
	}
}

func (s *Session) fault(kind FaultKind, err error) { s.report(Fault{Kind: kind, Err: err}) }

// report tells of a fault of this session.
func (s *Session) report(f Fault) {
	f.Link, f.Device = s.link, s.Device()
	f.Private = len(f.Frame) > 0 && s.private(f.Frame)
	s.profile.Observer.Fault(f)
}

// Device is the id that the device logged in with, else the fixed one of the
// listener, else the listener's name.
func (s *Session) Device() string {
	if id := s.known(); id != "" {
		return id
	}
	return s.profile.Listener
}

// Commands tells whether the device's codec takes commands.
func (s *Session) Commands() bool { return s.engaged.Load().commander != nil }

// Listener is the name of the listener that its link came by.
func (s *Session) Listener() string { return s.profile.Listener }

// known is Device without the listener's name for nobody.
func (s *Session) known() string {
	if id := s.identity.Load(); id != nil {
		return *id
	}
	return s.profile.Device
}

// tick lets the dialogue's timers run; the table calls it about once a second. A
// session that is busy with a command is left for the next time, so that it does
// not hold up the others.
func (s *Session) tick(ctx context.Context, now time.Time) {
	if !s.sideMu.TryLock() {
		return
	}
	defer s.sideMu.Unlock()
	if s.pending.ended() {
		return
	}
	l := s.takeLane(&s.aside, true)
	defer s.giveLane(l)
	err := s.tickDialogue(now, &l.out)
	if err == nil {
		err = l.process(ctx, now)
	}
	if err != nil {
		s.fail(err)
	}
}

func (s *Session) tickDialogue(now time.Time, out *codec.Outcome) (err error) {
	if !s.turn.TryLock() {
		return nil // a dialogue that is at work, in another process maybe, is not waited for either
	}
	defer s.turn.Unlock()
	if s.over {
		return nil
	}
	defer recovered(&err)
	if t := s.engaged.Load().ticker; t != nil { // it was there when the table looked
		return t.Tick(now, out)
	}
	return nil
}

// fail reports why a session ends and closes its link: at once, or when the
// acknowledgements are written where the dialogue ends it in good order.
func (s *Session) fail(err error) {
	if end, ok := errors.AsType[*ending](err); ok {
		if end.orderly {
			s.acks.finish(end.reason)
		} else {
			s.link.Close(end.reason)
		}
		return
	}
	f := Fault{Kind: kindOf(err), Err: err}
	if about, ok := errors.AsType[*framed](err); ok {
		f.Frame, f.Uncut = about.bytes, about.uncut
	}
	reason := string(f.Kind)
	switch {
	case errors.Is(err, frame.ErrTooLong), errors.Is(err, frame.ErrMalformed):
		f.Kind, reason = FaultProtocol, "framing"
	case f.Kind == FaultMalformed:
		f.Kind, reason = FaultProtocol, string(FaultProtocol)
	}
	s.report(f)
	s.link.Close(reason)
}

// End takes the session out of the table and fails what waits for its device. It
// is called by the link's owner when the link is closed, and is idempotent.
func (s *Session) End() {
	s.gone.Do(func() {
		s.profile.Table.leave(s)
		if st := s.standing.Load(); st != nil {
			st.leave()
			if q := s.profile.Quarantine; q != nil {
				q.leave(s)
			}
		}
		s.pending.fail(ErrGone)
		s.closeDialogue()
	})
}

// closeDialogue tells the dialogue that its link is over, after the call it may be in.
func (s *Session) closeDialogue() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.over = true
	s.release(s.engaged.Load())
}

// Disconnect closes the link, for a reason that operators read.
func (s *Session) Disconnect(reason string) { s.link.Close(reason) }

// ending is the end of a link without a fault. It is orderly when the dialogue
// wishes it: then what the device is still owed is written first.
type ending struct {
	reason  string
	orderly bool
}

func (e *ending) Error() string { return "link ends: " + e.reason }
