package dialogue

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// FrameLimit bounds the frames of a link in bytes, as a listener's limit does.
const FrameLimit = 1 << 20

// ErrNoFraming says that the stream of a link cannot be cut: the codec does not do
// it and no framing is given.
var ErrNoFraming = errors.New("the dialogue is no codec.Framer, so a framing has to be given (section frame of a case)")

// Link is one link with a codec, played as the gateway would. It is not safe for
// concurrent use.
type Link struct {
	// Dialogue is the codec's own side of the link.
	Dialogue codec.Dialogue
	// Split cuts the stream; nil means that each input is a frame.
	Split func(data []byte, atEOF bool) (advance int, frame []byte, err error)
	// Out is the outcome of the last frame, command or tick.
	Out codec.Outcome
	// Now is the time of arrival of the next frame.
	Now time.Time
	// Frames are copies of the frames that were received.
	Frames [][]byte
	// Scribble has frames and scratch memory written over once their outcome was
	// taken, so that what a codec kept of them is found out.
	Scribble bool
	// Before, when set, may replace the frame of that number (from 0) by another; nil
	// leaves it.
	Before func(n int) []byte
	// Took, when set, hears of every outcome in place of the lines that the methods
	// return otherwise. Frame is nil for commands, ticks and bytes that cannot be cut,
	// and everything is borrowed until it returns. Frames is not kept then.
	Took func(frame []byte, out *codec.Outcome, err error)

	stream []byte // what is not cut yet
	dead   bool
}

// Start is when the frames of a case arrive, before its first tick.
func Start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// peer is who is at the other end in a case.
func peer(transport string) codec.Peer {
	const port = 40000
	documentation := netip.AddrFrom4([4]byte{192, 0, 2, 7}) // RFC 5737
	return codec.Peer{Listener: "codectest", Transport: transport, Remote: netip.AddrPortFrom(documentation, port)}
}

// Open begins a link. The framing may be nil: then the dialogue cuts the stream
// itself, and over "udp" each input is a frame. The error is that of Begin, or
// ErrNoFraming.
func Open(c codec.Codec, transport string, framing *frame.Framing) (*Link, error) {
	d, err := c.Begin(peer(transport))
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	l := &Link{Dialogue: d, Now: Start()}
	framer, frames := d.(codec.Framer)
	switch {
	case framing != nil:
		if framing.Gap == 0 {
			l.Split = framing.Split
		}
	case transport == "udp":
	case frames:
		l.Split = framer.Split
	default:
		l.Close()
		return nil, ErrNoFraming
	}
	return l, nil
}

// Do carries out a step and returns what came of it. A link that has ended does
// nothing.
func (l *Link) Do(s *Step) []string {
	switch {
	case l.dead:
		return nil
	case s.Command != nil:
		return l.Command(*s.Command)
	case s.Tick != 0:
		return l.Tick(s.Tick)
	default:
		return l.Receive(s.Input)
	}
}

// Close ends the link.
func (l *Link) Close() { codec.Close(l.Dialogue) }

// Dead tells whether the link has ended: by an error or by the codec's wish.
func (l *Link) Dead() bool { return l.dead }

// Rest returns how many bytes were received and are no frame yet.
func (l *Link) Rest() int { return len(l.stream) }

// Receive takes a piece of the stream, or one datagram.
func (l *Link) Receive(input []byte) []string {
	if l.Split == nil {
		return l.Take(append([]byte(nil), input...))
	}
	l.stream = append(l.stream, input...)
	return l.cut(false)
}

// End tells that the stream has ended: what is left may still be a frame to the
// framing.
func (l *Link) End() []string {
	if l.Split == nil || len(l.stream) == 0 || l.dead {
		return nil
	}
	return l.cut(true)
}

func (l *Link) cut(atEOF bool) []string {
	var lines []string
	for len(l.stream) > 0 && !l.dead {
		data := l.stream[:len(l.stream):len(l.stream)]
		if l.Took == nil {
			data = slices.Clone(data) // so that reading past the end is found out
		}
		n, f, err := l.Split(data, atEOF)
		if n < 0 || n > len(data) || f != nil && n == 0 {
			err = fmt.Errorf("consumed %d of %d bytes: %w", n, len(data), frame.ErrNoProgress)
			n = 0
		}
		l.stream = l.stream[n:]
		if err != nil {
			lines = append(lines, l.refused(err)...)
			l.dead = n == 0
			continue
		}
		if f != nil {
			lines = append(lines, l.Take(f)...)
		} else if n == 0 {
			break
		}
	}
	return lines
}

// refused tells of bytes that cannot be cut.
func (l *Link) refused(err error) []string {
	l.Out.Reset()
	if l.Took != nil {
		l.Took(nil, &l.Out, err)
		return nil
	}
	return Lines(&l.Out, err)
}

// Take gives one frame to the dialogue.
func (l *Link) Take(f []byte) []string {
	if l.Took == nil {
		l.Frames = append(l.Frames, append([]byte(nil), f...))
	}
	if l.Before != nil {
		if other := l.Before(len(l.Frames) - 1); other != nil {
			f = append([]byte(nil), other...)
		}
	}
	l.Out.Reset()
	err := l.Dialogue.Receive(codec.Frame{Bytes: f, At: l.Now}, &l.Out)
	lines := l.taken(f, err)
	if l.Scribble {
		scribble(f)
	}
	return lines
}

// taken writes the outcome down, as the gateway takes it, and ends the link where it has to.
func (l *Link) taken(f []byte, err error) []string {
	var lines []string
	if l.Took != nil {
		l.Took(f, &l.Out, err)
	} else {
		lines = Lines(&l.Out, err)
	}
	if l.Scribble {
		scribble(l.Out.Scratch[:cap(l.Out.Scratch)])
	}
	l.dead = l.dead || l.Out.Close != "" || errors.Is(err, codec.ErrProtocol) || errors.Is(err, codec.ErrRefused) ||
		errors.Is(err, codec.ErrBroken)
	return lines
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 0xa5
	}
}

// Command gives a command to the dialogue.
func (l *Link) Command(c Command) []string {
	l.Out.Reset()
	commander, ok := l.Dialogue.(codec.Commander)
	if !ok {
		return l.lacks("codec.Commander")
	}
	err := commander.Command(codec.Command{Correlation: c.Correlation, Name: c.Name, Payload: c.Payload}, &l.Out)
	return l.taken(nil, err)
}

// Tick lets time pass.
func (l *Link) Tick(d time.Duration) []string {
	l.Now = l.Now.Add(d)
	l.Out.Reset()
	ticker, ok := l.Dialogue.(codec.Ticker)
	if !ok {
		return l.lacks("codec.Ticker")
	}
	return l.taken(nil, ticker.Tick(l.Now, &l.Out))
}

// lacks tells of a step for which the dialogue has no add-on.
func (l *Link) lacks(what string) []string {
	text := "the dialogue is no " + what
	if l.Took != nil {
		l.Took(nil, &l.Out, fmt.Errorf("%s: %w", text, codec.ErrUnknownCommand))
		return nil
	}
	return []string{"! " + text}
}
