package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// againPatience bounds the judgement of a device whose frame is decoded again: that of a
// login, which a chain of authenticators gets too.
const againPatience = 10 * time.Second

// Again is a received frame that is to be decoded once more, outside of its link.
type Again struct {
	// Peer was at the other end.
	Peer codec.Peer
	// Device is whom the link spoke for, empty when it was not known.
	Device string
	// Frame and Uncut are those of the Fault.
	Frame []byte
	Uncut bool
	// At is when the frame came.
	At time.Time
	// Epoch is that of the messages; their sequence counts from 1. Equal frames
	// decoded by equal codecs get equal ids.
	Epoch uint64
}

// Decode decodes a frame with today's codec, in a dialogue that begins for it, and
// returns its messages, routed, in memory of their own. Nothing is answered, no
// identity is claimed and nothing is sent; a device that may not come in is an
// error as in a link.
func (p *Profile) Decode(a Again) (list []message.Message, err error) {
	defer recovered(&err)
	d, err := p.inUse().codec.Begin(a.Peer)
	if err != nil {
		return nil, fmt.Errorf("begin %s dialogue: %w", p.CodecName, err)
	}
	defer codec.Close(d)
	if r, ok := d.(codec.Resumer); ok && a.Device != "" {
		if err := r.Resume(a.Device); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	g := again{profile: p, link: past{a.Peer}, dialogue: d, device: a.Device, at: a.At, epoch: a.Epoch}
	if a.Uncut {
		err = g.cut(a.Frame)
	} else {
		err = g.take(a.Frame)
	}
	if err != nil {
		return nil, err
	}
	return g.list, nil
}

// again is one frame being decoded once more.
type again struct {
	profile  *Profile
	link     Link
	dialogue codec.Dialogue
	device   string
	at       time.Time
	epoch    uint64
	out      codec.Outcome
	list     []message.Message
}

// past stands for a link that is gone.
type past struct{ peer codec.Peer }

// Send implements Link.
func (past) Send([]byte) error { return ErrGone }

// Close implements Link.
func (past) Close(string) {}

// Peer implements Link.
func (p past) Peer() codec.Peer { return p.peer }

// admitted judges a device as a link would.
func (g *again) admitted(c Claim) error {
	a := g.profile.Admission
	if a == nil {
		return nil
	}
	v, ok := a.Now(c)
	if !ok {
		ctx, cancel := context.WithTimeout(context.Background(), againPatience)
		defer cancel()
		v = a.Admit(ctx, c)
	}
	if v.Decision != Accept {
		return refused(c.Device, v)
	}
	return nil
}

// cut cuts a piece of a stream, as the listener does today.
func (g *again) cut(b []byte) error {
	split := bufio.SplitFunc(wholeLines)
	if framing := g.profile.Framing; framing != nil {
		split = framing.Split
	} else if f, ok := g.dialogue.(codec.Framer); ok {
		split = f.Split
	}
	for len(b) > 0 {
		n, frame, err := split(b, true)
		switch {
		case err != nil:
			return err
		case n <= 0 || n > len(b):
			return fmt.Errorf("%d bytes left that are no frame: %w", len(b), codec.ErrMalformed)
		case frame != nil:
			if err := g.take(frame); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// take decodes one frame.
func (g *again) take(b []byte) error {
	out := &g.out
	out.Reset()
	if err := g.dialogue.Receive(codec.Frame{Bytes: b, At: g.at}, out); err != nil {
		return err
	}
	if id := out.Identity.Device; id != "" {
		if err := checkDevice(id); err != nil {
			return err
		}
		if err := g.admitted(Claim{Link: g.link, Device: id, Secret: out.Identity.Secret, Named: true}); err != nil {
			return err
		}
		g.device = id
	}
	for i := range out.Messages {
		if err := g.add(&out.Messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// add appends a message, or its parts where a session would cut it.
func (g *again) add(from *codec.Message) error {
	if err := g.envelope(from); err != nil {
		return err
	}
	last := len(g.list) - 1
	splitter, _ := g.dialogue.(codec.Splitter)
	parts, err := g.profile.cut(splitter, from, &g.list[last])
	if err != nil || parts == nil {
		return err
	}
	g.list = g.list[:last]
	for i := range parts {
		if err := g.envelope(&parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *again) envelope(from *codec.Message) error {
	var m message.Message
	g.profile.envelope(&m, from, g.at)
	m.Body = slices.Clone(m.Body)
	for _, device := range [...]string{from.Device, g.device, g.profile.Device, g.profile.Listener} {
		if m.Device = device; device != "" {
			break
		}
	}
	if err := checkDevice(m.Device); err != nil {
		return err
	}
	m.Epoch, m.Seq = g.epoch, uint64(len(g.list)+1)
	g.profile.Router.Apply(&m)
	g.list = append(g.list, m)
	return nil
}
