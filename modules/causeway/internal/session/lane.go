package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// lane is the memory in which one goroutine at a time turns an outcome into
// messages and bytes; it is reused, so that a known message costs no allocation. The
// sessions of a listener share a pool of them: most links are silent.
type lane struct {
	session *Session
	speaks  *speaking
	out     codec.Outcome
	msgs    []message.Message
	wrapped []byte
	lasts   []byte // the frame, where it stays as it is until the next read; nil otherwise
	hasty   bool   // nothing may wait: a datagram, a command, a tick
	unsent  error  // the last datagram that was not sent; a link that is a stream ends instead
}

// speaking is the device that was bound last, to skip the lookup.
type speaking struct {
	device string
	moves  uint64    // of the session, when it was bound
	until  time.Time // when it has to be judged again; zero is never
}

// covers tells whether a device was bound last, and need be neither judged nor bound again.
func (k *speaking) covers(device string, moves uint64, at time.Time) bool {
	return device == k.device && moves == k.moves && (k.until.IsZero() || at.Before(k.until))
}

// takeLane lends the session a lane, giveLane takes it back.
func (s *Session) takeLane(speaks *speaking, hasty bool) *lane {
	l, _ := s.profile.lanes.Get().(*lane)
	if l == nil {
		l = new(lane)
	}
	l.session, l.speaks, l.hasty = s, speaks, hasty
	return l
}

func (s *Session) giveLane(l *lane) {
	l.session, l.speaks, l.lasts, l.unsent = nil, nil, nil, nil
	l.out.Reset()
	for i := range l.out.Messages[:cap(l.out.Messages)] {
		l.out.Messages[:cap(l.out.Messages)][i].Body = nil // it may be a part of the link's buffer
	}
	for i := range l.msgs[:cap(l.msgs)] {
		l.msgs[:cap(l.msgs)][i].Body = nil
	}
	s.profile.lanes.Put(l)
}

// errAnswer marks what could not be written to the device.
var errAnswer = errors.New("answer device")

// process carries out the outcome in its fixed order: identity, reply, messages,
// acknowledgement, results, close. It returns an error when the link must end.
func (l *lane) process(ctx context.Context, at time.Time) error {
	s, out := l.session, &l.out
	if out.Identity.Device != "" {
		if err := l.flush(ctx); err != nil { // the verdict may take a while
			return err
		}
		if on, err := l.identify(&out.Identity); err != nil || !on {
			return err
		}
	}
	if err := l.write(out.Reply); err != nil {
		return err
	}
	if len(out.Messages) > 0 || len(out.Ack) > 0 || len(out.Nak) > 0 {
		if err := l.deliver(ctx, at); err != nil {
			return err
		}
	}
	for i := range out.Results {
		s.pending.complete(out.Results[i])
	}
	if out.Close != "" {
		return &ending{reason: out.Close, orderly: true}
	}
	return nil
}

// deliver hands the messages up, with the acknowledgement waiting for them.
func (l *lane) deliver(ctx context.Context, at time.Time) error {
	s, out := l.session, &l.out
	if s.profile.Ack == AckNone {
		out.Ack, out.Nak = nil, nil
	}
	if s.profile.Ack == AckDecoded || len(out.Messages) == 0 && s.acks.none() {
		if err := l.write(out.Ack); err != nil {
			return err
		}
		out.Ack, out.Nak = nil, nil
	}
	if len(out.Ack) == 0 && len(out.Nak) == 0 {
		return l.gather(ctx, at)
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	if err := s.acks.room(ctx, l.hasty); errors.Is(err, ErrOwed) {
		s.fault(FaultDropped, err)
		return nil // silence: a device that can will send again
	} else if err != nil {
		return &ending{reason: "gateway-stopped"}
	}
	e, err := l.exchange(at)
	if err != nil {
		return err
	}
	err = l.hand(ctx, e, at)
	e.Settled(nil) // the guard that put it in the queue
	return err
}

// hand gives the messages of an outcome to the uplink, all or none.
func (l *lane) hand(ctx context.Context, receipt message.Receipt, at time.Time) error {
	if err := l.put(receipt, at); err != nil {
		l.msgs = l.msgs[:0]
		return err
	}
	return l.send(ctx, receipt)
}

// put puts the messages of the outcome behind those in l.msgs.
func (l *lane) put(receipt message.Receipt, at time.Time) error {
	out := &l.out
	for i := range out.Messages {
		m := &out.Messages[i]
		if !l.add(m, receipt, at, 0) {
			continue
		}
		if err := l.split(m, receipt, at); err != nil {
			return err
		}
	}
	return nil
}

// send gives l.msgs to the uplink, all or none. An error says that nothing can be handed
// over any more.
func (l *lane) send(ctx context.Context, receipt message.Receipt) (err error) {
	if len(l.msgs) == 0 {
		return nil
	}
	s := l.session
	if l.hasty {
		err = s.profile.Uplink.TrySend(l.msgs, receipt)
	} else {
		err = s.profile.Uplink.Send(ctx, l.msgs, receipt)
	}
	sent := l.msgs
	l.msgs = l.msgs[:0]
	if err == nil {
		s.present.Store(true)
		if l == s.main {
			s.tally.messages += len(sent)
		} else {
			s.profile.Observer.Sent(len(sent))
		}
		return nil
	}
	l.lost(len(sent), receipt, err)
	if stopped(err) {
		return &ending{reason: "gateway-stopped"}
	}
	return nil
}

// add puts a message into l.msgs, under a number or the next one for 0. One whose
// device may not speak here is reported and settled, and false.
func (l *lane) add(m *codec.Message, receipt message.Receipt, at time.Time, seq uint64) bool {
	err := l.envelope(m, at, seq)
	if err == nil {
		return true
	}
	last, kind := len(l.msgs)-1, FaultIdentity
	if !errors.Is(err, message.ErrRefused) {
		kind = FaultDropped
	}
	if errors.Is(err, ErrHeld) {
		l.session.profile.Quarantine.sample(m.Device, l.session, m.Body, at)
	}
	l.session.report(Fault{Kind: kind, Err: err, Message: &l.msgs[last]})
	l.msgs = l.msgs[:last]
	receipt.Settled(&handled{err})
	return false
}

// stopped tells that a message was not taken because the link or the gateway ends.
func stopped(err error) bool {
	return errors.Is(err, message.ErrClosed) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)
}

// exchange queues the outcome's acknowledgement behind its elders.
func (l *lane) exchange(at time.Time) (e *exchange, err error) {
	acks := &l.session.acks
	e = acks.take()
	if e.ack, err = l.frame(e.ack[:0], l.out.Ack); err == nil {
		e.nak, err = l.frame(e.nak[:0], l.out.Nak)
	}
	if err != nil {
		return nil, err
	}
	acks.push(e, len(l.out.Messages)+1, at)
	return e, nil
}

// lost reports and settles what the uplink did not take. At the end of the link or
// the gateway nothing is lost that the device was not told of.
func (l *lane) lost(messages int, r message.Receipt, err error) {
	if _, acknowledged := r.(*exchange); !acknowledged || !stopped(err) {
		l.session.fault(FaultDropped, err)
	}
	for range messages {
		r.Settled(&handled{err})
	}
}

// handled marks a failure that has been reported where it happened.
type handled struct{ err error }

func (h *handled) Error() string { return h.err.Error() }
func (h *handled) Unwrap() error { return h.err }

// speaker is the device that a message is of. A link that speaks for several brings
// each of them in by the same rule as a login. The session comes to speak for it
// when it did not before, or when another session may have taken it meanwhile.
func (l *lane) speaker(named string, at time.Time) (string, error) {
	s, device := l.session, named
	if device == "" {
		device = s.Device()
	}
	moves := s.moves()
	if l.speaks.covers(device, moves, at) {
		return device, nil
	}
	if err := checkDevice(device); err != nil {
		s.refused(device, reasonIllegal)
		return "", fmt.Errorf("%w: %w", message.ErrRefused, err)
	}
	c := s.claim(codec.Identity{Device: device})
	c.Named = named != ""
	var v Verdict
	var until time.Time
	if s.loggedIn(device) {
		v = s.loginVerdict()
	} else {
		var err error
		if v, err = l.admitted(c); err != nil {
			return "", err
		}
		until = v.Expires
	}
	if !s.bind(device, v) {
		s.deny(device, elsewhere())
		return "", fmt.Errorf("%w: %w", message.ErrRefused, refused(device, elsewhere()))
	}
	if s.ousted(c) {
		return "", fmt.Errorf("device %q: %w", device, ErrJudging)
	}
	*l.speaks = speaking{device, moves, until}
	return device, nil
}

// moves changes when a device that the session speaks for may have come to be spoken for
// by another, or by none.
func (s *Session) moves() uint64 { return s.profile.Table.moves.Load() + s.shifts.Load() }

// envelope puts a message into its envelope, the next of l.msgs. An error says that
// its device may not speak here; the envelope is then without device and id.
func (l *lane) envelope(m *codec.Message, at time.Time, seq uint64) error {
	s := l.session
	if n := len(l.msgs); n < cap(l.msgs) {
		l.msgs = l.msgs[:n+1]
	} else {
		l.msgs = append(l.msgs, message.Message{})
	}
	e := &l.msgs[len(l.msgs)-1]
	s.profile.envelope(e, m, at)
	device, err := l.speaker(m.Device, at)
	if err != nil {
		return err
	}
	if seq == 0 {
		seq = s.seq.Add(1)
	}
	e.Device, e.Epoch, e.Seq = device, s.epoch, seq
	s.profile.Router.Apply(e)
	return nil
}

// envelope fills in what a message of this listener has besides device and id.
func (p *Profile) envelope(dst *message.Message, m *codec.Message, at time.Time) {
	created := m.Time
	if created.IsZero() {
		created = at
	}
	contentType := m.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	properties := dst.Properties[:0]
	for _, p := range m.Properties {
		properties = append(properties, message.Property(p))
	}
	*dst = message.Message{
		Listener: p.Listener, Codec: p.CodecName, Output: p.Output, Body: m.Body,
		ContentType: contentType, ContentEncoding: m.ContentEncoding, Created: created, Properties: properties,
	}
}

// write frames bytes for the device and sends them.
func (l *lane) write(b []byte) (err error) {
	if len(b) == 0 {
		return nil
	}
	if l.wrapped, err = l.frame(l.wrapped[:0], b); err != nil {
		return err
	}
	if err := l.session.link.Send(l.wrapped); err != nil {
		err = fmt.Errorf("%w: %w", errAnswer, err)
		if !l.session.link.Peer().Datagram() {
			return err
		}
		l.session.fault(FaultSend, err) // one datagram is lost, as on its way it might be
		l.unsent = err
	}
	return nil
}

// frame appends b as the listener's framing wraps it; a codec that frames itself
// writes the bytes of the wire.
func (l *lane) frame(dst, b []byte) ([]byte, error) {
	framing := l.session.profile.Framing
	if framing == nil || len(b) == 0 {
		return append(dst, b...), nil
	}
	framed, err := framing.Append(dst, b)
	if err != nil {
		return dst, fmt.Errorf("frame answer: %w", err)
	}
	return framed, nil
}
