package dialogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// Setting says how bytes are to be decoded outside of a listener.
type Setting struct {
	// Transport is "tcp", "tls" or "udp"; empty means "tcp".
	Transport string
	// Frame is a framing; nil means that the codec cuts the stream, and where it does
	// not, that each input is one frame.
	Frame json.RawMessage
	// Device is whom the link speaks for, for a codec that is a codec.Resumer; empty
	// for nobody.
	Device string
	// At is when the frames came; zero means Start.
	At time.Time
}

// Begin opens a link as the setting says. Faults of the framing are
// *codec.OptionError; other errors are those of the codec.
func (s Setting) Begin(c codec.Codec) (*Link, error) {
	transport := s.Transport
	switch transport {
	case "":
		transport = "tcp"
	case "tcp", "tls", "udp":
	default:
		return nil, codec.Optionf("/transport", "got %q, want tcp, tls or udp", transport)
	}
	framing, err := s.framing()
	if err != nil {
		return nil, err
	}
	l, err := Open(c, transport, framing)
	if errors.Is(err, ErrNoFraming) {
		l, err = Open(c, "udp", nil) // each input is a frame
	}
	if err != nil {
		return nil, err
	}
	if !s.At.IsZero() {
		l.Now = s.At
	}
	if s.Device != "" {
		r, ok := l.Dialogue.(codec.Resumer)
		if !ok {
			l.Close()
			return nil, codec.Optionf("/device", "is given, and this codec needs none")
		}
		if err := r.Resume(s.Device); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// framing compiles the framing; nil for none.
func (s Setting) framing() (*frame.Framing, error) {
	if s.Frame == nil {
		return nil, nil
	}
	f, err := frame.Parse(s.Frame, FrameLimit)
	if fault, ok := errors.AsType[*codec.OptionError](err); ok {
		return nil, codec.Optionf("/frame"+fault.Pointer, "%s", fault.Reason)
	}
	return f, err
}

// Report is what became of the inputs of Decode.
type Report struct {
	// Frames were cut; Failed of them, or of the attempts to cut one, led to an error.
	Frames int `json:"frames"`
	Failed int `json:"failed"`
	// Rest are bytes at the end that are no whole frame.
	Rest int `json:"rest"`
}

// Good tells whether all was decoded.
func (r Report) Good() bool { return r.Failed == 0 && r.Rest == 0 }

// Pieces makes steps of pieces of a stream, or of datagrams.
func Pieces(inputs ...[]byte) []Step {
	steps := make([]Step, len(inputs))
	for i, input := range inputs {
		steps[i].Input = input
	}
	return steps
}

// Cuts tells whether the codec cuts a stream itself.
func Cuts(c codec.Codec) bool {
	d, err := c.Begin(peer("tcp"))
	if err != nil {
		return false
	}
	defer codec.Close(d)
	_, cuts := d.(codec.Framer)
	return cuts
}

// Decode carries out the steps on one link and tells took every outcome: the number
// of frames so far, the frame itself (nil where there is none) and all else borrowed.
// The error says that nothing could be begun, or that the codec panicked (ErrBroken).
func Decode(
	c codec.Codec, s Setting, steps []Step, took func(n int, frame []byte, out *codec.Outcome, err error),
) (r Report, err error) {
	defer Recovered(&err)
	l, err := s.Begin(c)
	if err != nil {
		return r, err
	}
	defer l.Close()
	l.Took = func(f []byte, out *codec.Outcome, err error) {
		if f != nil {
			r.Frames++
		}
		if err != nil {
			r.Failed++
		}
		took(r.Frames, f, out, err)
	}
	for i := range steps {
		l.Do(&steps[i])
	}
	l.End()
	if r.Rest = l.Rest(); r.Rest > 0 && !l.Dead() {
		r.Failed++
		err := fmt.Errorf("%d bytes left that are no whole frame: %w", r.Rest, codec.ErrMalformed)
		took(r.Frames, nil, new(codec.Outcome), err)
	}
	return r, nil
}
