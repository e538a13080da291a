package js

import (
	"encoding/hex"
	"runtime"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// hot are scripts and a frame of each as devices send them all day.
func hot(tb testing.TB) map[string]struct {
	codec codec.Codec
	login string
	frame string
} {
	tb.Helper()
	type entry = struct {
		codec codec.Codec
		login string
		frame string
	}
	of := func(path, login, frame string) entry {
		c, err := load(tb, path).New(nil)
		if err != nil {
			tb.Fatal(err)
		}
		return entry{c, login, frame}
	}
	return map[string]entry{
		"acme":         of("acme.js", "000401413171", "001702000702677485800 0d70e10016774 8581ffce0ce40215"),
		"climate":      of("formatters/ttn_climate/ttn_climate.js", "", "086f5a78"),
		"channels":     of("formatters/tlv_channels/tlv_channels.js", "", "01756403671001060001"),
		"class reader": of("formatters/es6_classes/es6_classes.js", "", "0102bc020064030 1"),
	}
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	var digits []byte
	for i := range len(text) {
		if text[i] != ' ' {
			digits = append(digits, text[i])
		}
	}
	b, err := hex.DecodeString(string(digits))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func BenchmarkReceive(b *testing.B) {
	for name, h := range hot(b) {
		b.Run(name, func(b *testing.B) {
			d, out := begin(b, h.codec), &codec.Outcome{}
			if h.login != "" {
				if err := d.Receive(codec.Frame{Bytes: unhex(b, h.login)}, out); err != nil {
					b.Fatal(err)
				}
			}
			frame := codec.Frame{Bytes: unhex(b, h.frame), At: time.Unix(0, 0)}
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

// BenchmarkLink says what a link costs in memory, its share of an engine included.
func BenchmarkLink(b *testing.B) {
	for name, h := range hot(b) {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			links := make([]codec.Dialogue, 0, b.N)
			for b.Loop() {
				links = append(links, begin(b, h.codec))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(links)), "B/link")
			runtime.KeepAlive(links)
		})
	}
}

func BenchmarkEngine(b *testing.B) {
	p := load(b, "acme.js")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newRealm(p); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFramesCostWhatTheyDid fails when the frames above cost more allocations: the
// engine makes objects, so that there is no none.
func TestFramesCostWhatTheyDid(t *testing.T) {
	if raceEnabled {
		return // counts differ under the race detector
	}
	budget := map[string]float64{"acme": 580, "climate": 75, "channels": 80, "class reader": 310}
	for name, h := range hot(t) {
		d, out := begin(t, h.codec), &codec.Outcome{}
		if h.login != "" {
			if err := d.Receive(codec.Frame{Bytes: unhex(t, h.login)}, out); err != nil {
				t.Fatal(err)
			}
		}
		frame := codec.Frame{Bytes: unhex(t, h.frame), At: time.Unix(0, 0)}
		var failed error
		n := testing.AllocsPerRun(200, func() {
			out.Reset()
			if err := d.Receive(frame, out); err != nil {
				failed = err
			}
		})
		if n > budget[name] || failed != nil {
			t.Errorf("%s: %v allocations a frame, the budget is %v, %v", name, n, budget[name], failed)
		}
	}
}
