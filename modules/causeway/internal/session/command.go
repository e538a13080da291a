package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// ErrGone says that the device's link was closed before it answered.
var ErrGone = errors.New("device disconnected")

// rawLimit bounds a frame kept for a caller of Raw; a direct method's answer has
// 128 KiB, and hexadecimal doubles it.
const rawLimit = 32 << 10

// commands are the orders of a session that wait for the device's answer.
type commands struct {
	mu      sync.Mutex
	next    uint64
	waiting map[string]chan codec.Result
	failed  error
	frame   chan []byte   // the caller that waits for the next frame, nil for none
	awaited atomic.Bool   // frame is not nil: looked at for every frame, without the lock
	slot    chan struct{} // cap 1: held by the command in flight; made with the first
	gone    chan struct{} // closed by fail; made with the first
}

// channels makes them: most sessions never get a command.
func (c *commands) channels() (slot, gone chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slot == nil {
		c.slot, c.gone = make(chan struct{}, 1), make(chan struct{})
		if c.failed != nil {
			close(c.gone)
		}
	}
	return c.slot, c.gone
}

// ended tells whether the session has ended.
func (c *commands) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed != nil
}

// Order is a command for a device.
type Order struct {
	// Device is whom it is for, empty for the session's own.
	Device string
	// ID is what callers know it by, empty for none.
	ID string
	// Name and Payload are the codec's business.
	Name    string
	Payload json.RawMessage
}

func (o *Order) turn(kind TurnKind, reason string) Turn {
	return Turn{Kind: kind, Device: o.Device, Command: o.Name, CommandID: o.ID, Reason: reason}
}

// Command gives an order to the session's own device, see Give.
func (s *Session) Command(ctx context.Context, name string, payload json.RawMessage) (codec.Result, error) {
	return s.Give(ctx, Order{Name: name, Payload: payload})
}

// Give sends a command and waits for the device's answer. One is in flight at a
// time; later callers wait for their turn. The result's Err is the device's own
// refusal; it is Unconfirmed where the codec expects no answer, and the bytes are on
// their way. Errors are ctx's, ErrGone, errors.ErrUnsupported, the codec's kinds
// and those of the link, which did not take the bytes.
func (s *Session) Give(ctx context.Context, o Order) (codec.Result, error) {
	if o.Device == "" {
		o.Device = s.Device()
	}
	r, sent, err := s.give(ctx, o)
	switch {
	case err != nil:
		s.expired(o, sent, err)
	case errors.Is(r.Err, codec.ErrNoAnswer):
		s.turned(o.turn(TurnCommandExpired, reasonNoAnswer))
	case r.Err != nil:
		s.turned(o.turn(TurnCommandAnswered, reasonNo))
	case r.Unconfirmed:
		s.turned(o.turn(TurnCommandExpired, reasonUnconfirmed))
	default:
		s.turned(o.turn(TurnCommandAnswered, ""))
	}
	return r, err
}

// expired tells of an order that has no answer. One that the codec does not have is
// nobody's business but the caller's.
func (s *Session) expired(o Order, sent bool, err error) {
	t := o.turn(TurnCommandExpired, reasonLinkEnded)
	timed, gone := errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled)
	switch {
	case !sent && !timed && !gone && !errors.Is(err, ErrGone):
		return
	case !sent, errors.Is(err, errAnswer):
		t.Reason = reasonNotSent
	case timed:
		t.Reason = reasonNoAnswer
	case gone:
		t.Reason = reasonCallerEnded
	}
	s.turned(t)
}

// give does Give's work; sent tells whether the command was on its way.
func (s *Session) give(ctx context.Context, o Order) (r codec.Result, sent bool, err error) {
	if s.engaged.Load().commander == nil {
		return r, false, fmt.Errorf("codec %s has no commands: %w", s.profile.CodecName, errors.ErrUnsupported)
	}
	slot, gone := s.pending.channels()
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return r, false, ctx.Err()
	case <-gone:
		return r, false, ErrGone
	}
	id, answer, err := s.pending.expect()
	if err != nil {
		return r, false, err
	}
	defer s.pending.forget(id)
	if sent, err = s.order(ctx, id, o); err != nil {
		return r, sent, err
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return codec.Result{}, true, ErrGone
		}
		return r, true, nil
	case <-ctx.Done():
		return r, true, ctx.Err()
	}
}

// order gives the command to the dialogue and writes what it makes of it. It is told of
// before: what the device says upon it comes after.
func (s *Session) order(ctx context.Context, id string, o Order) (sent bool, err error) {
	s.sideMu.Lock()
	defer s.sideMu.Unlock()
	l := s.takeLane(&s.aside, true)
	defer s.giveLane(l)
	c := codec.Command{Correlation: id, Name: o.Name, Payload: o.Payload}
	if err := s.orderDialogue(c, &l.out); err != nil {
		if errors.Is(err, codec.ErrBroken) {
			s.fail(err)
		}
		return false, err
	}
	l.confirmNothing(id)
	s.turned(o.turn(TurnCommandSent, ""))
	if err = l.process(ctx, time.Now()); err != nil {
		s.fail(err)
	}
	switch _, ends := errors.AsType[*ending](err); {
	case l.unsent != nil:
		return true, l.unsent
	case ends:
		return true, nil // the result may have come with it; otherwise the end of the link ends the waiting
	}
	return true, err
}

// confirmNothing marks a result that comes with its own command: the device cannot have
// answered yet, whatever the codec makes of it.
func (l *lane) confirmNothing(id string) {
	for i := range l.out.Results {
		if r := &l.out.Results[i]; r.Correlation == id && r.Err == nil {
			r.Unconfirmed = true
		}
	}
}

func (s *Session) orderDialogue(c codec.Command, out *codec.Outcome) (err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return ErrGone
	}
	defer recovered(&err)
	commander := s.engaged.Load().commander
	if commander == nil { // the codec was exchanged meanwhile
		return fmt.Errorf("codec %s has no commands: %w", s.profile.CodecName, errors.ErrUnsupported)
	}
	return commander.Command(c, out)
}

// Raw writes bytes as they are. When await is set it returns a copy of the next
// frame that the device sends, which is decoded as usual besides.
func (s *Session) Raw(ctx context.Context, b []byte, await bool) ([]byte, error) {
	var frame chan []byte
	if await {
		var err error
		if frame, err = s.pending.awaitFrame(); err != nil {
			return nil, err
		}
		defer s.pending.forgetFrame(frame)
	}
	_, gone := s.pending.channels()
	if err := s.link.Send(b); err != nil {
		return nil, fmt.Errorf("send to device: %w", err)
	}
	if !await {
		return nil, nil
	}
	select {
	case f := <-frame:
		return f, nil
	case <-gone:
		return nil, ErrGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *commands) expect() (string, chan codec.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return "", nil, c.failed
	}
	if c.waiting == nil {
		c.waiting = make(map[string]chan codec.Result)
	}
	c.next++
	id := strconv.FormatUint(c.next, 10)
	answer := make(chan codec.Result, 1)
	c.waiting[id] = answer
	return id, answer, nil
}

// busy tells whether a command waits for its answer.
func (c *commands) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0
}

func (c *commands) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// complete hands a result to its caller; one that came too late is dropped.
func (c *commands) complete(r codec.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.waiting[r.Correlation]; answer != nil {
		delete(c.waiting, r.Correlation)
		r.Payload = append(json.RawMessage(nil), r.Payload...) // it may lie in the codec's scratch memory
		answer <- r
	}
}

// fail ends all waiting.
func (c *commands) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = err; c.gone != nil {
		close(c.gone)
	}
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
}

func (c *commands) awaitFrame() (chan []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frame != nil {
		return nil, fmt.Errorf("another caller waits for the next frame: %w", codec.ErrBusy)
	}
	c.frame = make(chan []byte, 1)
	c.awaited.Store(true)
	return c.frame, nil
}

func (c *commands) forgetFrame(frame chan []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frame == frame {
		c.frame = nil
		c.awaited.Store(false)
	}
}

// raw gives a copy of the frame to who waits for one.
func (c *commands) raw(b []byte) {
	if !c.awaited.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frame == nil {
		return
	}
	c.frame <- append([]byte(nil), b[:min(len(b), rawLimit)]...)
	c.frame = nil
	c.awaited.Store(false)
}
