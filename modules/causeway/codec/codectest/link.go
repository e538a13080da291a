package codectest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// frameLimit bounds the frames of the suite, as a listener's limit does.
const frameLimit = 1 << 20

// link plays one link with a codec, as the gateway would.
type link struct {
	dialogue codec.Dialogue
	split    func([]byte, bool) (int, []byte, error) // nil: each input is a frame
	out      codec.Outcome
	now      time.Time
	stream   []byte // what is not cut yet
	dead     bool
	scribble bool             // over frames, once their outcome was taken
	frames   [][]byte         // that were received
	before   func(int) []byte // replaces a frame, for the truncation and mutation checks
}

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// begin starts a link of the case.
func (s *script) begin(c codec.Codec) (*link, error) {
	peer := codec.Peer{Listener: "codectest", Transport: "tcp", Remote: netip.MustParseAddrPort("192.0.2.7:40000")}
	if s.udp {
		peer.Transport = "udp"
	}
	d, err := c.Begin(peer)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	l := &link{dialogue: d, now: start()}
	framer, frames := d.(codec.Framer)
	switch {
	case s.frame != nil:
		f, err := frame.Parse(s.frame, frameLimit)
		if err != nil {
			return nil, fmt.Errorf("frame: %w", err)
		}
		if f.Gap == 0 {
			l.split = f.Split
		}
	case s.udp:
	case frames:
		l.split = framer.Split
	default:
		return nil, errors.New("the dialogue is no codec.Framer, so the case has to have a section frame")
	}
	return l, nil
}

// do carries out a step and returns what came of it.
func (l *link) do(s *step) []string {
	switch {
	case l.dead:
		return nil
	case s.cmd != nil:
		return l.command(s.cmd)
	case s.tick != 0:
		return l.tick(s.tick)
	default:
		return l.receive(s.input)
	}
}

func (l *link) receive(input []byte) []string {
	if l.split == nil {
		return l.take(append([]byte(nil), input...))
	}
	l.stream = append(l.stream, input...)
	var lines []string
	for len(l.stream) > 0 && !l.dead {
		data := append([]byte(nil), l.stream...) // so that reading past the end is found out
		n, f, err := l.split(data, false)
		if n < 0 || n > len(data) || f != nil && n == 0 {
			err = fmt.Errorf("consumed %d of %d bytes: %w", n, len(data), frame.ErrNoProgress)
			n = 0
		}
		l.stream = l.stream[n:]
		if err != nil {
			lines = append(lines, render(&codec.Outcome{}, err)...)
			l.dead = n == 0
			continue
		}
		if f != nil {
			lines = append(lines, l.take(f)...)
		} else if n == 0 {
			break
		}
	}
	return lines
}

// take gives one frame to the dialogue.
func (l *link) take(f []byte) []string {
	l.frames = append(l.frames, append([]byte(nil), f...))
	if l.before != nil {
		if other := l.before(len(l.frames) - 1); other != nil {
			f = append([]byte(nil), other...)
		}
	}
	l.out.Reset()
	err := l.dialogue.Receive(codec.Frame{Bytes: f, At: l.now}, &l.out)
	lines := l.taken(err)
	if l.scribble {
		scribble(f)
	}
	return lines
}

// taken renders the outcome, as the gateway takes it, and ends the link where it has to.
func (l *link) taken(err error) []string {
	lines := render(&l.out, err)
	if l.scribble {
		scribble(l.out.Scratch[:cap(l.out.Scratch)])
	}
	l.dead = l.out.Close != "" || errors.Is(err, codec.ErrProtocol) || errors.Is(err, codec.ErrRefused) ||
		errors.Is(err, codec.ErrBroken)
	return lines
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 0xa5
	}
}

func (l *link) command(c *command) []string {
	l.out.Reset()
	commander, ok := l.dialogue.(codec.Commander)
	if !ok {
		return []string{"! the dialogue is no codec.Commander"}
	}
	err := commander.Command(codec.Command{Correlation: c.Correlation, Name: c.Name, Payload: c.Payload}, &l.out)
	return l.taken(err)
}

func (l *link) tick(d time.Duration) []string {
	l.now = l.now.Add(d)
	l.out.Reset()
	ticker, ok := l.dialogue.(codec.Ticker)
	if !ok {
		return []string{"! the dialogue is no codec.Ticker"}
	}
	return l.taken(ticker.Tick(l.now, &l.out))
}

// play carries out all steps on a new link.
func (s *script) play(c codec.Codec, prepare func(*link)) (got [][]string, l *link, err error) {
	if l, err = s.begin(c); err != nil {
		return nil, nil, err
	}
	if prepare != nil {
		prepare(l)
	}
	for i := range s.steps {
		got = append(got, l.do(&s.steps[i]))
	}
	return got, l, nil
}
