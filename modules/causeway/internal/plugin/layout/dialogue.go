package layout

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxPending commands wait for their answers at once; more is a device that does not answer.
const maxPending = 16

// dialogue is the state of one link.
type dialogue struct {
	l          *compiled
	run        *run
	parameters []cell
	datagram   bool
	pending    []pending
	// copied is a datagram that the framing changes while it is cut.
	copied []byte
}

// pending is a command that the device has to answer.
type pending struct {
	command     *command
	correlation string
	key         int64
	// since is the first tick after it was written.
	since time.Time
}

// framed is a dialogue of a layout with a framing.
type framed struct{ *dialogue }

// Split implements codec.Framer.
func (d framed) Split(data []byte, _ bool) (int, []byte, error) { return d.l.framing.split(data) }

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	d.run.out = out
	err := d.receive(f, out)
	if err != nil && d.l.malformed != nil && errors.Is(err, codec.ErrMalformed) {
		d.run.fault = nil
		out.Reply, _ = d.l.malformed.bytes(d.run) // the frame's own error is the one to be told
	}
	return err
}

func (d *dialogue) receive(f codec.Frame, out *codec.Outcome) error {
	b, err := d.cut(f.Bytes)
	if err != nil {
		return err
	}
	r := d.run
	r.begin(b, f.At)
	m, err := r.head()
	if err != nil {
		return err
	}
	if m.needsLogin && r.device == "" {
		return fmt.Errorf("%s before login: %w", m.name, codec.ErrProtocol)
	}
	if err := r.body(m); err != nil {
		return err
	}
	if err := d.identify(m, out); err != nil {
		return err
	}
	for _, spec := range m.emit {
		if err := spec.emit(r); err != nil {
			return err
		}
	}
	d.answered(m, out)
	if out.Reply, err = m.reply.bytes(r); err != nil {
		return err
	}
	if out.Ack, err = m.ack.bytes(r); err != nil {
		return err
	}
	if out.Nak, err = m.nak.bytes(r); err != nil {
		return err
	}
	out.Close = m.closing
	return r.fault
}

// cut takes the framing off a datagram, which nobody else does.
func (d *dialogue) cut(b []byte) ([]byte, error) {
	if !d.datagram || d.l.framing == nil {
		return b, nil
	}
	if d.l.framing.escaping {
		d.copied = append(d.copied[:0], b...)
		b = d.copied
	}
	n, frame, err := d.l.framing.split(b)
	switch {
	case errors.Is(err, codec.ErrProtocol):
		return nil, fmt.Errorf("%w: %w", codec.ErrMalformed, errors.New(err.Error())) // the next datagram may be right
	case err != nil:
		return nil, err
	case frame == nil || n != len(b):
		return nil, d.run.malformed("datagram of %d bytes is not one frame", len(b))
	}
	return frame, nil
}

// head decodes what all frames have, and chooses the message type.
func (r *run) head() (*messageType, error) {
	l := r.layout
	if err := r.steps(l.headSteps); err != nil {
		return nil, err
	}
	if l.tailSize > 0 {
		at := r.pos
		if r.end-at < l.tailSize {
			return nil, r.malformed("%d bytes are left at offset %d, the tail has %d", r.end-at, at, l.tailSize)
		}
		r.pos = r.end - l.tailSize
		if err := r.steps(l.tail); err != nil {
			return nil, err
		}
		r.pos, r.end = at, r.end-l.tailSize
	}
	m := l.choose(r)
	switch {
	case r.fault != nil:
		return nil, r.fault
	case m == nil:
		return nil, r.malformed("no message for %.40q", r.appendPlain(nil, l.on, -1))
	}
	return m, nil
}

// choose returns the message type of the frame, or nil.
func (l *compiled) choose(r *run) *messageType {
	var m *messageType
	switch {
	case l.on == nil:
	case l.on.t == typeText:
		m = l.texts[string(l.on.s(r))]
	default:
		if v := l.on.i(r); uint64(v) < uint64(len(l.small)) {
			m = l.small[v]
		} else {
			m = l.ints[v]
		}
	}
	if m == nil {
		m = l.other
	}
	return m
}

// body decodes the fields of a message type.
func (r *run) body(m *messageType) error {
	r.forget(m.from, m.to)
	if err := r.steps(m.steps); err != nil {
		return err
	}
	if m.strict && r.pos < r.end {
		return r.malformed("%s has %d bytes from offset %d that no field describes", m.name, r.end-r.pos, r.pos)
	}
	return r.fault
}

// identify claims the device's name.
func (d *dialogue) identify(m *messageType, out *codec.Outcome) error {
	r := d.run
	if m.login == nil {
		if d.l.identity == nil {
			return nil
		}
		if id := r.string(d.l.identity); id != r.device && id != "" {
			r.is(id)
			out.Identity.Device = id
		}
		return r.fault
	}
	id := r.string(m.login.device)
	if id == "" {
		return r.malformed("%s names no device", m.name)
	}
	r.is(id)
	out.Identity.Device = id
	if m.login.secret != nil {
		out.Identity.Secret = r.string(m.login.secret)
	}
	var err error
	if out.Identity.Accept, err = m.login.accept.bytes(r); err != nil {
		return err
	}
	out.Identity.Refuse, err = m.login.refuse.bytes(r)
	return err
}

// answered completes the command that the message answers, if there is one.
func (d *dialogue) answered(m *messageType, out *codec.Outcome) {
	r := d.run
	for i := range d.pending {
		p := &d.pending[i]
		k := p.command
		if k.answer != m || k.when != nil && !k.when(r) || k.answerKey != nil && k.answerKey(r) != p.key {
			continue
		}
		result := codec.Result{Correlation: p.correlation}
		switch {
		case k.ok != nil && !k.ok(r):
			reason := "the device refused the command"
			if k.failure != nil {
				reason = string(r.textOf(k.failure))
			}
			result.Err = errors.New(reason)
		case k.result != nil:
			result.Payload = r.object(nil, k.result)
		}
		out.Results = append(out.Results, result)
		d.pending = slices.Delete(d.pending, i, i+1)
		return
	}
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	k := d.l.commands[c.Name]
	if k == nil {
		return fmt.Errorf("layout %s: command %q, known are %v: %w",
			d.l.name, c.Name, slices.Sorted(maps.Keys(d.l.commands)), codec.ErrUnknownCommand)
	}
	r := d.run
	r.out = out
	r.begin(nil, r.now)
	if f := fill(k.parameters, c.Payload, r.cells); f != nil {
		return fmt.Errorf("layout %s: command %q: %w: %w", d.l.name, c.Name, f.error(), codec.ErrBadCommand)
	}
	if k.send.device && r.device == "" {
		return fmt.Errorf("layout %s: command %q before login: %w", d.l.name, c.Name, codec.ErrBusy)
	}
	if d.busy(k) {
		return fmt.Errorf("layout %s: command %q: %w", d.l.name, c.Name, codec.ErrBusy)
	}
	p := pending{command: k, correlation: c.Correlation}
	if k.key != nil {
		p.key = k.key(r)
		r.set(k.keyField, 0, 0).n = p.key
	}
	reply, err := k.send.bytes(r)
	if err != nil {
		return err
	}
	if k.answer == nil {
		out.Results = append(out.Results, codec.Result{Correlation: c.Correlation})
	} else {
		d.pending = append(d.pending, p)
	}
	out.Reply = reply
	return r.fault
}

// busy reports whether an answer could not be told from that to an earlier command.
func (d *dialogue) busy(k *command) bool {
	if k.answer == nil {
		return false
	}
	for i := range d.pending {
		if other := d.pending[i].command; other.answer == k.answer && (k.key == nil || other.key == nil) {
			return true
		}
	}
	return len(d.pending) >= maxPending
}

// Tick implements codec.Ticker: a command that stays unanswered is given up.
func (d *dialogue) Tick(now time.Time, out *codec.Outcome) error {
	d.run.now = now
	d.pending = slices.DeleteFunc(d.pending, func(p pending) bool {
		if p.since.IsZero() || now.Sub(p.since) < p.command.timeout {
			return false
		}
		out.Results = append(out.Results, codec.Result{
			Correlation: p.correlation,
			Err:         fmt.Errorf("layout %s: command %q: %w", d.l.name, p.command.name, codec.ErrNoAnswer),
		})
		return true
	})
	for i := range d.pending {
		if d.pending[i].since.IsZero() {
			d.pending[i].since = now
		}
	}
	return nil
}

// Resume implements codec.Resumer.
func (d *dialogue) Resume(device string) error {
	d.run.is(device)
	return nil
}

// Explain implements codec.Explainer.
func (d *dialogue) Explain(f []byte) []codec.Field {
	at := 0
	if d.datagram && d.l.framing != nil {
		content, err := d.cut(f)
		if err != nil {
			return nil
		}
		if at = bytes.Index(f, content); at < 0 {
			at = 0
			f = content // escaped: its own bytes are shown
		}
		f = content
	}
	list := d.l.explain(f, d.parameters, d.run.device)
	for i := range list {
		list[i].Offset += at
	}
	return list
}
