package jsoncodec

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// line is a document as meters send it, 120 bytes.
const line = `{"serial":"meter-0042","time":"2026-03-01T12:34:56Z","kind":"reading","seq":123456,"value":21.5,"unit":"kWh","ok":true}`

func hotOptions() map[string]string {
	return map[string]string{
		"checked": `{}`,
		"id":      `{"id":"/serial"}`,
		"all":     `{"id":"/serial","time":"/time","properties":{"kind":"/kind"},"ack":"OK"}`,
	}
}

func hotDialogue(tb testing.TB, options string) codec.Dialogue {
	tb.Helper()
	c, err := New(json.RawMessage(options))
	if err != nil {
		tb.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func BenchmarkReceive(b *testing.B) {
	for name, options := range hotOptions() {
		b.Run(name, func(b *testing.B) {
			d, out := hotDialogue(b, options), &codec.Outcome{}
			frame := codec.Frame{Bytes: []byte(line), At: time.Unix(0, 0)}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				if err := d.Receive(frame, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidOfEncodingJSON(b *testing.B) {
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if !json.Valid([]byte(line)) {
			b.Fatal("not JSON")
		}
	}
}

func TestKnownDocumentCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		return // counts differ under the race detector
	}
	for name, options := range hotOptions() {
		d, out := hotDialogue(t, options), &codec.Outcome{}
		frame := codec.Frame{Bytes: []byte(line), At: time.Unix(0, 0)}
		var failed error
		n := testing.AllocsPerRun(1000, func() {
			out.Reset()
			if err := d.Receive(frame, out); err != nil {
				failed = err
			}
		})
		if n != 0 || failed != nil {
			t.Errorf("%s: %v allocations a document, %v", name, n, failed)
		}
	}
}
