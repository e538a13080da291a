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
// messages and bytes; it is reused, so that a known message costs no allocation.
type lane struct {
	session *Session
	out     codec.Outcome
	msg     message.Message
	wrapped []byte
	device  string // bound last, to skip the lookup
}

// process carries out the outcome in its fixed order: identity, reply, messages,
// acknowledgement, results, close. It returns an error when the link must end.
func (l *lane) process(ctx context.Context, at time.Time) error {
	s, out := l.session, &l.out
	if out.Identity.Device != "" {
		if err := l.identify(&out.Identity); err != nil {
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
		return &ending{reason: out.Close}
	}
	return nil
}

// identify judges the device's claim. A second login with the same id takes over:
// the old link is closed.
func (l *lane) identify(id *codec.Identity) error {
	s := l.session
	if err := checkDevice(id.Device); err != nil {
		return errors.Join(l.write(id.Refuse), err)
	}
	if !s.profile.Admit(id.Device) {
		if err := l.write(id.Refuse); err != nil {
			return err
		}
		return fmt.Errorf("device %q: %w", id.Device, codec.ErrRefused)
	}
	if old := s.identity.Load(); old == nil || *old != id.Device {
		device := id.Device
		s.identity.Store(&device)
		s.profile.Table.claim(device, s)
		l.device = device
	}
	s.present.Store(true)
	return l.write(id.Accept)
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
	receipt := message.Receipt(&s.acks)
	var e *exchange
	if len(out.Ack) > 0 || len(out.Nak) > 0 {
		var err error
		if e, err = l.exchange(at); err != nil {
			return err
		}
		receipt = e
	}
	for i := range out.Messages {
		if err := l.send(ctx, &out.Messages[i], receipt, at); err != nil {
			l.lost(receipt, err)
			if !errors.Is(err, message.ErrRefused) {
				// The rest is not offered, so that the order holds when the device sends it again.
				for range len(out.Messages) - i - 1 {
					receipt.Settled(&handled{err})
				}
				break
			}
		}
		s.present.Store(true)
	}
	if e != nil {
		e.Settled(nil) // the guard that put it in the queue
	}
	return nil
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

// lost reports and settles a message that the uplink did not take.
func (l *lane) lost(r message.Receipt, err error) {
	kind := FaultDropped
	if errors.Is(err, message.ErrRefused) {
		kind = FaultRefused
	}
	l.session.fault(kind, err)
	r.Settled(&handled{err})
}

// handled marks a failure that has been reported where it happened.
type handled struct{ err error }

func (h *handled) Error() string { return h.err.Error() }
func (h *handled) Unwrap() error { return h.err }

// send fills the envelope and hands it to the uplink. A datagram never waits.
func (l *lane) send(ctx context.Context, m *codec.Message, r message.Receipt, at time.Time) error {
	s := l.session
	device := m.Device
	if device == "" {
		device = s.Device()
	}
	if device != l.device {
		if err := checkDevice(device); err != nil {
			return fmt.Errorf("%w: %w", message.ErrRefused, err)
		}
		s.bind(device)
		l.device = device
	}
	created := m.Time
	if created.IsZero() {
		created = at
	}
	contentType := m.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	properties := l.msg.Properties[:0]
	for _, p := range m.Properties {
		properties = append(properties, message.Property(p))
	}
	l.msg = message.Message{
		Device: device, Listener: s.profile.Listener, Codec: s.profile.CodecName, Output: s.profile.Output,
		Epoch: s.epoch, Seq: s.seq.Add(1), Body: m.Body,
		ContentType: contentType, ContentEncoding: m.ContentEncoding, Created: created, Properties: properties,
	}
	s.profile.Router.Apply(&l.msg)
	var err error
	if s.link.Peer().Datagram() {
		err = s.profile.Uplink.TrySend(&l.msg, r)
	} else {
		err = s.profile.Uplink.Send(ctx, &l.msg, r)
	}
	if err == nil {
		s.profile.Observer.Sent(1)
	}
	return err
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
		return fmt.Errorf("answer device: %w", err)
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
