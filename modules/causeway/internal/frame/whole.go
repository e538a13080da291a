package frame

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// fixed cuts frames of one size.
type fixed struct{ size int }

func (f *Framing) parseFixed(spec json.RawMessage) error {
	var s struct {
		Type string `json:"type"`
		Size int    `json:"size"`
	}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	if s.Size < 1 || s.Size > f.limit {
		return codec.Optionf("/size", "got %d, allowed are 1 to the frame limit, %d", s.Size, f.limit)
	}
	f.cutter, f.window = &fixed{size: s.Size}, s.Size
	return nil
}

func (c *fixed) split(data []byte, _ bool) (int, []byte, error) {
	if len(data) < c.size {
		return 0, nil, nil
	}
	return c.size, data[:c.size:c.size], nil
}

func (c *fixed) wrap(dst, payload []byte) ([]byte, error) {
	if len(payload) != c.size {
		return nil, fmt.Errorf("frame: %d bytes, every frame has %d: %w", len(payload), c.size, ErrPayload)
	}
	return append(dst, payload...), nil
}

// gap takes everything before a silence for one frame. The Reader measures the
// silence and then calls split as at the end of the stream.
type gap struct{ limit int }

// maxGap is one minute: a longer silence tells nothing about frames.
const maxGap = 60_000

func (f *Framing) parseGap(spec json.RawMessage) error {
	var s struct {
		Type         string `json:"type"`
		Milliseconds int    `json:"milliseconds"`
	}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	if s.Milliseconds < 1 || s.Milliseconds > maxGap {
		return codec.Optionf("/milliseconds", "got %d, allowed are 1 to %d", s.Milliseconds, maxGap)
	}
	f.Gap = time.Duration(s.Milliseconds) * time.Millisecond
	f.cutter, f.window = &gap{limit: f.limit}, f.limit+1
	return nil
}

func (c *gap) split(data []byte, atEOF bool) (int, []byte, error) {
	switch {
	case len(data) > c.limit:
		return 0, nil, tooLong(len(data), c.limit)
	case atEOF:
		return len(data), data[:len(data):len(data)], nil
	default:
		return 0, nil, nil
	}
}

func (*gap) wrap(dst, payload []byte) ([]byte, error) { return append(dst, payload...), nil }

// chunk takes what was read for one frame, in parts of the limit.
type chunk struct{ limit int }

// datagram takes all the data for one frame; longer than the limit is refused.
type datagram struct{ limit int }

func (f *Framing) parseWhole(spec json.RawMessage) error {
	var s struct {
		Type string `json:"type"`
	}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	f.cutter = &chunk{limit: f.limit}
	if f.kind == "datagram" {
		f.cutter, f.window = &datagram{limit: f.limit}, f.limit+1
	}
	return nil
}

func (c *chunk) split(data []byte, _ bool) (int, []byte, error) {
	n := min(len(data), c.limit)
	return n, data[:n:n], nil
}

func (*chunk) wrap(dst, payload []byte) ([]byte, error) { return append(dst, payload...), nil }

func (c *datagram) split(data []byte, _ bool) (int, []byte, error) {
	if len(data) > c.limit {
		return 0, nil, tooLong(len(data), c.limit)
	}
	return len(data), data[:len(data):len(data)], nil
}

func (*datagram) wrap(dst, payload []byte) ([]byte, error) { return append(dst, payload...), nil }
