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
}

// Serve reads a stream link until it ends, and returns when its outstanding
// acknowledgements are written or no longer wanted. When draining ends, reading
// stops; when ctx ends, everything does.
func (s *Session) Serve(ctx, draining context.Context, link Stream) {
	defer s.End()
	err := s.read(ctx, draining, link)
	switch {
	case draining.Err() != nil:
		s.acks.wait(ctx)
		link.Close("gateway-stopped")
	case err == nil:
		waitCtx, cancel := context.WithTimeout(ctx, settleAfterEnd)
		defer cancel()
		s.acks.wait(waitCtx)
		link.Close("closed-by-device")
	default:
		s.fail(err)
	}
}

// read takes frames until the stream ends (nil) or must be ended.
func (s *Session) read(ctx, draining context.Context, link Stream) error {
	split, opts := s.cutting()
	gate := &loginGate{Source: link, session: s}
	r := frame.NewReader(gate, split, opts)
	wake := func() { _ = r.SetReadDeadline(time.Unix(1, 0)) } // fails only on a closed link, which needs no waking
	defer context.AfterFunc(draining, wake)()
	deadline := s.began.Add(s.profile.LoginTime)
	if err := r.SetReadDeadline(deadline); err != nil {
		return nil //nolint:nilerr // the link is closed already
	}
	for draining.Err() == nil {
		before := r.Consumed()
		b, err := r.Next()
		if err != nil {
			if errors.Is(err, frame.ErrMalformed) && r.Consumed() > before {
				s.fault(FaultMalformed, err)
				continue
			}
			return s.readEnd(err)
		}
		now := time.Now()
		if err := s.take(ctx, b, now); err != nil {
			return err
		}
		if next := now.Add(s.profile.Idle); s.present.Load() && next.Sub(deadline).Abs() > deadlineStep {
			deadline = next
			_ = r.SetReadDeadline(deadline)
			if draining.Err() != nil {
				wake() // the deadline just set must not outlive the order to stop
			}
		}
	}
	return nil
}

// cutting is the framing of the listener, else the codec's own, else lines.
func (s *Session) cutting() (bufio.SplitFunc, frame.Options) {
	opts := frame.Options{Limit: s.profile.FrameBytes}
	if f := s.profile.Framing; f != nil {
		opts.Window, opts.Gap = f.Window(), f.Gap
		return f.Split, opts
	}
	if f, ok := s.dialogue.(codec.Framer); ok {
		return f.Split, opts
	}
	return bufio.ScanLines, opts
}

// readEnd turns what ended the reading into what becomes of the link.
func (s *Session) readEnd(err error) error {
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
	case errors.Is(err, frame.ErrTooLong), errors.Is(err, frame.ErrMalformed), errors.Is(err, frame.ErrNoProgress),
		errors.Is(err, codec.ErrProtocol), errors.Is(err, codec.ErrMalformed), errors.Is(err, errLoginBytes):
		return fmt.Errorf("read: %w", err)
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
	read    int
}

func (g *loginGate) Read(p []byte) (int, error) {
	if !g.session.present.Load() {
		left := g.session.profile.LoginBytes - g.read
		if left <= 0 {
			return 0, errLoginBytes
		}
		p = p[:min(len(p), left)]
	}
	n, err := g.Source.Read(p)
	g.read += n
	return n, err
}

// Datagram takes one datagram of a UDP peer. It never waits.
func (s *Session) Datagram(b []byte, at time.Time) {
	ctx := context.Background() // nothing on the way of a datagram waits
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
			s.fault(FaultMalformed, err)
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
