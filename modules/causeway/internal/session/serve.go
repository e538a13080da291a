package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

const (
	// settleAfterEnd is how long a device that has closed its side of the stream
	// still gets its acknowledgements.
	settleAfterEnd = 10 * time.Second
	// deadlineStep is how stale the idle deadline may be: setting it for every
	// frame would cost more than cutting the frame.
	deadlineStep = time.Second
)

// Stream is a link that is read as a stream of bytes.
type Stream interface {
	Link
	frame.Source
	// Done is closed when the link is closed, by whomever.
	Done() <-chan struct{}
}

// linkContext ends with its link, so that a session whose link was closed does not
// go on waiting for the hub. It costs no goroutine.
type linkContext struct {
	context.Context //nolint:containedctx // values only
	link            Stream
}

// Done implements context.Context.
func (c linkContext) Done() <-chan struct{} { return c.link.Done() }

// Err implements context.Context.
func (c linkContext) Err() error {
	select {
	case <-c.link.Done():
		return context.Canceled
	default:
		return nil
	}
}

// Serve reads a stream link until it ends, and returns when its outstanding
// acknowledgements are written or no longer wanted. When draining ends, reading
// stops; when ctx ends, everything does. Where the device is silent and nothing of a
// frame is held, Serve returns until when that may go on; it is to be called again then,
// or when there is something to read. Otherwise it returns the zero time.
func (s *Session) Serve(ctx, draining context.Context, link Stream) (until time.Time) {
	stop := context.AfterFunc(ctx, func() { link.Close("gateway-stopped") })
	defer stop()
	s.main = s.takeLane(&s.speaks, false)
	defer func() {
		s.giveLane(s.main)
		s.main = nil
	}()
	live := linkContext{Context: ctx, link: link}
	err := s.readFrames(live, draining, link)
	if errors.Is(err, frame.ErrSilent) {
		return s.patience()
	}
	defer s.End()
	end, _ := errors.AsType[*ending](err)
	switch {
	case err != nil && end == nil:
		s.fail(err)
	case draining.Err() != nil:
		s.acks.wait(live)
		link.Close("gateway-stopped")
	case err == nil:
		s.settle(live)
		link.Close("closed-by-device")
	case end.orderly:
		s.settle(live)
		link.Close(end.reason)
	default:
		s.fail(err)
	}
	return time.Time{}
}

// patience is until when the device may be silent.
func (s *Session) patience() time.Time {
	if s.present.Load() {
		return s.asked.Add(s.profile.Idle)
	}
	return s.began.Add(s.profile.LoginTime)
}

// settle waits for the acknowledgements that the device is owed.
func (s *Session) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleAfterEnd)
	defer cancel()
	s.acks.wait(ctx)
}

// readFrames takes frames until the stream ends (nil) or must be ended, or the device is
// silent.
func (s *Session) readFrames(ctx, draining context.Context, link Stream) (err error) {
	split, lasts, opts := s.cutting()
	opts.Spent = func() error { return s.main.flush(ctx) }
	gate := &loginGate{Source: link, session: s}
	r := frame.NewReader(gate, split, opts)
	wake := func() { _ = r.SetReadDeadline(time.Unix(1, 0)) } // fails only on a closed link, which needs no waking
	defer context.AfterFunc(draining, wake)()
	defer s.count()
	defer func() { // what came before the end
		if failed := s.main.flush(ctx); err == nil {
			err = failed
		}
	}()
	var deadline, now time.Time
	arm := func(t time.Time) {
		deadline = t
		_ = r.SetReadDeadline(t) // see above
		if draining.Err() != nil {
			wake() // the deadline just set must not outlive the order to stop
		}
	}
	arm(s.patience())
	for draining.Err() == nil {
		s.renew()
		before, received := r.Consumed(), r.Received()
		b, err := r.Next()
		switch {
		case err == nil:
		case malformed(err) && r.Consumed() > before:
			rest := r.Offending()
			s.report(Fault{Kind: FaultMalformed, Err: err, Frame: rest[:min(len(rest), uncutKept)], Uncut: true})
			continue
		case errors.Is(err, frame.ErrSilent):
			if draining.Err() != nil {
				continue
			}
			return err
		case errors.Is(err, os.ErrDeadlineExceeded) && s.present.Load() && draining.Err() == nil:
			// The deadline is set now and then only, and runs on while the link waits for
			// the hub: only time spent waiting for the device counts as idle.
			if next := s.asked.Add(s.profile.Idle); time.Now().Before(next) {
				arm(next)
				continue
			}
			return s.readEnd(err, r)
		default:
			return s.readEnd(err, r)
		}
		if r.Received() > received { // frames of one read have come at one time
			now = time.Now()
			s.last.Store(now.UnixNano())
		}
		if s.main.lasts = nil; lasts {
			s.main.lasts = b
		}
		if err := s.take(ctx, b, now); err != nil {
			return err
		}
		gate.fresh = true
		if next := now.Add(s.profile.Idle); s.present.Load() && next.Sub(deadline).Abs() > deadlineStep {
			arm(next)
		}
	}
	return nil
}

// malformed tells of a frame that cannot be read, whoever cuts the stream.
func malformed(err error) bool {
	return errors.Is(err, frame.ErrMalformed) || errors.Is(err, codec.ErrMalformed)
}

// cutting is the framing of the listener, else the codec's own, else lines. Frames last until
// the next read but for the codec's, which may be in memory of its own.
func (s *Session) cutting() (split bufio.SplitFunc, lasts bool, opts frame.Options) {
	opts = frame.Options{Limit: s.profile.FrameBytes, Rest: true}
	if f := s.profile.Framing; f != nil {
		opts.Window, opts.Gap = f.Window(), f.Gap
		return f.Split, true, opts
	}
	if s.engaged.Load().framer != nil {
		return s.split, false, opts
	}
	return wholeLines, true, opts
}

// wholeLines is bufio.ScanLines, but what is left of a line when the stream ends
// is not taken for one.
func wholeLines(data []byte, _ bool) (advance int, line []byte, err error) {
	return bufio.ScanLines(data, false)
}

// readEnd turns what ended the reading into what becomes of the link.
func (s *Session) readEnd(err error, r *frame.Reader) error {
	if end, ok := errors.AsType[*ending](err); ok { // nothing can be handed over any more
		return end
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.fault(FaultMalformed, fmt.Errorf("the device left within a frame: %w", err))
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		if s.present.Load() {
			return &ending{reason: "idle"}
		}
		return &ending{reason: "login-timeout"}
	case errors.Is(err, frame.ErrTooLong), errors.Is(err, frame.ErrNoProgress), malformed(err),
		errors.Is(err, codec.ErrProtocol), errors.Is(err, codec.ErrBroken):
		return aboutRest(fmt.Errorf("read: %w", err), r)
	default:
		return &ending{reason: "connection-lost"}
	}
}

// errLoginBytes: too much was sent before the device said who it is.
var errLoginBytes = fmt.Errorf("too many bytes before the first message: %w", codec.ErrProtocol)

// loginGate bounds what a link may send before its first identity or message.
type loginGate struct {
	frame.Source
	session *Session
	fresh   bool // a frame was taken since the last read
}

func (g *loginGate) Read(p []byte) (int, error) {
	g.session.count() // before the device may be silent
	if !g.session.present.Load() {
		left := g.session.profile.LoginBytes - g.session.read
		if left <= 0 {
			return 0, errLoginBytes
		}
		p = p[:min(len(p), left)]
	}
	if g.fresh {
		g.fresh, g.session.asked = false, time.Now()
	}
	n, err := g.Source.Read(p)
	g.session.read += n
	return n, err
}

// Datagram takes one datagram of a UDP peer. It never waits.
func (s *Session) Datagram(b []byte, at time.Time) {
	if s.isJudging() {
		s.fault(FaultDropped, ErrJudging)
		return // silence: the device sends again
	}
	ctx := context.Background() // nothing on the way of a datagram waits
	s.main = s.takeLane(&s.speaks, true)
	defer func() {
		s.count()
		s.giveLane(s.main)
		s.main = nil
	}()
	s.last.Store(at.UnixNano())
	s.renew()
	framing := s.profile.Framing
	if framing == nil || framing.Kind() == "datagram" {
		if err := s.take(ctx, b, at); err != nil {
			s.fail(err)
		}
		return
	}
	for len(b) > 0 {
		n, f, err := framing.Split(b, true)
		if err == nil && f == nil && n == 0 {
			err = fmt.Errorf("%d bytes left in the datagram: %w", len(b), frame.ErrMalformed)
		}
		if err != nil {
			s.report(Fault{Kind: FaultMalformed, Err: err, Frame: b, Uncut: true})
			return
		}
		b = b[n:]
		if f == nil {
			continue
		}
		if err := s.take(ctx, f, at); err != nil {
			s.fail(err)
			return
		}
	}
}

// Gone ends the session of a UDP peer.
func (s *Session) Gone(string) { s.End() }
