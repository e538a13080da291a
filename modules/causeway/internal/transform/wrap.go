package transform

import (
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// keptBuffer bounds the memory that a quiet link keeps for the output of a stage.
const keptBuffer = 16 << 10

// bodyStage changes the bodies of messages.
type bodyStage interface {
	fmt.Stringer // its name in errors
	// takes tells whether the message is one that it changes.
	takes(m *codec.Message) bool
	// change appends the new body to dst, which does not overlap the old one.
	change(dst []byte, m *codec.Message) ([]byte, error)
	// mark sets content type and encoding of a message that was changed.
	mark(m *codec.Message)
}

// Wrap puts the chain around a codec. A nil chain is nothing: the codec itself.
func (c *Chain) Wrap(inner codec.Codec) codec.Codec {
	if c == nil {
		return inner
	}
	return &wrapped{chain: c, inner: inner}
}

// wrapped is a codec within a chain.
type wrapped struct {
	chain *Chain
	inner codec.Codec
}

// Begin implements codec.Codec. The dialogue has those add-ons of the inner one whose
// presence the session acts on, and passes the others on.
func (w *wrapped) Begin(p codec.Peer) (codec.Dialogue, error) {
	inner, err := w.inner.Begin(p)
	if err != nil {
		return nil, err
	}
	d := &dialogue{chain: w.chain, inner: inner, buffers: make([][]byte, len(w.chain.frames))}
	framer, cuts := inner.(codec.Framer)
	cuts = cuts && !w.chain.Frames() // it would cut what it cannot read
	_, ticks := inner.(codec.Ticker)
	switch {
	case cuts && ticks:
		return struct {
			*dialogue
			codec.Framer
			ticker
		}{d, framer, ticker{d}}, nil
	case cuts:
		return struct {
			*dialogue
			codec.Framer
		}{d, framer}, nil
	case ticks:
		return struct {
			*dialogue
			ticker
		}{d, ticker{d}}, nil
	default:
		return d, nil
	}
}

// dialogue is one link within a chain.
type dialogue struct {
	chain   *Chain
	inner   codec.Dialogue
	buffers [][]byte // of the output of each stage of frames, until the next frame
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	for i, s := range d.chain.frames {
		if cap(d.buffers[i]) > keptBuffer {
			d.buffers[i] = nil
		}
		opened, err := s.open(d.buffers[i][:0], f.Bytes)
		if err != nil {
			return malformed(s.name, err)
		}
		d.buffers[i] = opened
		f.Bytes = opened[:len(opened):len(opened)]
	}
	return d.finish(out, d.inner.Receive(f, out))
}

// finish changes what came out: the bodies, and what is written to the device.
func (d *dialogue) finish(out *codec.Outcome, err error) error {
	if errors.Is(err, codec.ErrBroken) {
		return err
	}
	if err == nil {
		err = d.bodies(out)
	}
	if sealErr := d.seal(out); sealErr != nil {
		return errors.Join(err, sealErr)
	}
	return err
}

func (d *dialogue) bodies(out *codec.Outcome) error {
	for _, s := range d.chain.bodies {
		for i := range out.Messages {
			m := &out.Messages[i]
			if !s.takes(m) {
				continue
			}
			if len(m.Body) > maxBody {
				return malformed(s.String(), fmt.Errorf("a body of %d bytes, at most %d", len(m.Body), maxBody))
			}
			at := len(out.Scratch)
			grown, err := s.change(out.Scratch, m)
			if err != nil {
				return malformed(s.String(), err)
			}
			out.Scratch = grown
			m.Body = grown[at:len(grown):len(grown)]
			s.mark(m)
		}
	}
	return nil
}

// seal sends every answer through the stages of frames, the other way round.
func (d *dialogue) seal(out *codec.Outcome) error {
	if len(d.chain.frames) == 0 {
		return nil
	}
	for _, answer := range [...]*[]byte{&out.Reply, &out.Ack, &out.Nak, &out.Identity.Accept, &out.Identity.Refuse} {
		if len(*answer) == 0 {
			continue
		}
		for i := len(d.chain.frames) - 1; i >= 0; i-- {
			s := d.chain.frames[i]
			if !s.answers {
				continue
			}
			at := len(out.Scratch)
			grown, err := s.seal(out.Scratch, *answer)
			if err != nil {
				return fmt.Errorf("transform: %s of an answer: %w: %w", s.name, err, codec.ErrBroken)
			}
			out.Scratch = grown
			*answer = grown[at:len(grown):len(grown)]
		}
	}
	return nil
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	commander, ok := d.inner.(codec.Commander)
	if !ok {
		return fmt.Errorf("the codec has no commands: %w", codec.ErrUnknownCommand)
	}
	return d.finish(out, commander.Command(c, out))
}

// Resume implements codec.Resumer; a codec that needs no device is content.
func (d *dialogue) Resume(device string) error {
	if r, ok := d.inner.(codec.Resumer); ok {
		return r.Resume(device)
	}
	return errors.ErrUnsupported
}

// Explain implements codec.Explainer. Of frames that are changed on their way nothing
// is known: the offsets would be those of others.
func (d *dialogue) Explain(frame []byte) []codec.Field {
	e, ok := d.inner.(codec.Explainer)
	if !ok || d.chain.Frames() {
		return nil
	}
	return e.Explain(frame)
}

// Close lets the inner dialogue go, where it holds something.
func (d *dialogue) Close() error {
	if c, ok := d.inner.(codec.Closer); ok {
		return c.Close()
	}
	return nil
}

// SplitBody lets the codec cut a message that is too large, as long as its bodies are
// still the codec's own.
func (d *dialogue) SplitBody(m *codec.Message, limit int) [][]byte {
	s, ok := d.inner.(codec.Splitter)
	if !ok || len(d.chain.bodies) > 0 {
		return nil
	}
	return s.SplitBody(m, limit)
}

// ticker is the add-on of a dialogue whose codec has timers.
type ticker struct{ dialogue *dialogue }

// Tick implements codec.Ticker.
func (t ticker) Tick(now time.Time, out *codec.Outcome) error {
	inner, ok := t.dialogue.inner.(codec.Ticker)
	if !ok {
		return nil
	}
	return t.dialogue.finish(out, inner.Tick(now, out))
}
