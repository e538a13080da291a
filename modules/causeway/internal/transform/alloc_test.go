package transform

import (
	"bytes"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// quiet takes a frame without an allocation of its own.
func quiet(f codec.Frame, out *codec.Outcome) error {
	m := out.Add()
	m.Body, m.ContentType = f.Bytes, "application/json"
	out.Ack = f.Bytes[:1]
	return nil
}

func TestStagesAllocateLittle(t *testing.T) {
	plain := bytes.Repeat([]byte(`{"t":21.5,"h":40}`), 10)
	for setting, most := range map[string]float64{
		`{"frames":[{"type":"decrypt","cipher":"aes-gcm","key":{"env":"KEY"},"answers":false}]}`: 0,
		`{"frames":[{"type":"decrypt","cipher":"aes-cbc","key":{"env":"KEY"},"answers":false}]}`: 1, // the decrypter
		`{"frames":[{"type":"decompress","algorithm":"gzip","answers":false}]}`:                  3, // reader of the bytes
		`{"frames":[{"type":"decompress","algorithm":"zstd","answers":false}]}`:                  2,
		`{"bodies":[{"type":"decode","format":"cbor"}]}`:                                         0, // JSON passes
		`{"bodies":[{"type":"compress","algorithm":"gzip","minBytes":1000}]}`:                    0, // too short
		`{"bodies":[{"type":"compress","algorithm":"zstd"}]}`:                                    2,
	} {
		c := chain(t, setting)
		frame := plain
		if c.Frames() {
			var err error
			if frame, err = c.frames[0].seal(nil, plain); err != nil {
				t.Fatal(err)
			}
		}
		d, err := c.Wrap(codec.Func(quiet)).Begin(codec.Peer{})
		if err != nil {
			t.Fatal(err)
		}
		var out codec.Outcome
		receive := func() {
			out.Reset()
			err = d.Receive(codec.Frame{Bytes: frame}, &out)
		}
		receive()
		n := testing.AllocsPerRun(100, receive)
		if err != nil || n > most && !raceEnabled {
			t.Errorf("%s: %v allocations a frame, at most %v, %v", setting, n, most, err)
		}
	}
}
