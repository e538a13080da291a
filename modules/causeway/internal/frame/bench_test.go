package frame

import (
	"bytes"
	"errors"
	"testing"
)

// endless repeats its data for ever.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.data[e.at:])
	e.at = (e.at + n) % len(e.data)
	return n, nil
}

// hotSpecs are one framing of each type, by a name for the benchmark.
func hotSpecs() map[string]string {
	return map[string]string{
		"line":    `{"type":"line"}`,
		"hex":     `{"type":"delimiter","hex":"0d0a"}`,
		"length":  `{"type":"length","size":4}`,
		"varint":  `{"type":"length","size":"varint"}`,
		"ascii":   `{"type":"length","size":4,"encoding":"ascii"}`,
		"fixed":   `{"type":"fixed","size":120}`,
		"hdlc":    `{"type":"delimited","preset":"hdlc"}`,
		"slip":    `{"type":"delimited","preset":"slip"}`,
		"jt808":   `{"type":"delimited","preset":"jt808"}`,
		"mllp":    `{"type":"delimited","preset":"mllp"}`,
		"general": `{"type":"delimited","start":"1002","end":"1003","escape":{"map":{"1010":"10"}}}`,
		"none":    `{"type":"none"}`,
	}
}

// hotReader reads frames of 120 bytes for ever.
func hotReader(tb testing.TB, spec string) *Reader {
	tb.Helper()
	f := parse(tb, spec, 4096)
	var wire []byte
	for range 100 {
		var err error
		if wire, err = f.Append(wire, bytes.Repeat([]byte("0123456789~}"), 10)); err != nil {
			tb.Fatal(err)
		}
	}
	return NewReader(stream{&endless{data: wire}}, f.Split, Options{Limit: 4096, Window: f.Window(), Gap: f.Gap})
}

func BenchmarkReader(b *testing.B) {
	for name, spec := range hotSpecs() {
		b.Run(name, func(b *testing.B) {
			r := hotReader(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(r.Consumed()) / int64(b.N))
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	payload := bytes.Repeat([]byte("0123456789~}"), 10)
	for name, spec := range hotSpecs() {
		b.Run(name, func(b *testing.B) {
			f := parse(b, spec, 4096)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				var err error
				if dst, err = f.Append(dst[:0], payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestNoFrameCostsAnAllocation(t *testing.T) {
	if raceEnabled {
		return // counts differ under the race detector
	}
	for name, spec := range hotSpecs() {
		r := hotReader(t, spec)
		var failed error
		next := func() {
			if _, err := r.Next(); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		for range 200 {
			next() // the buffer grows
		}
		if n := testing.AllocsPerRun(1000, next); n != 0 || failed != nil {
			t.Errorf("%s: %v allocations a frame, %v", name, n, failed)
		}
	}
}
