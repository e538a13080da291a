package wasm

import (
	"context"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
)

// Frames of acme.
const (
	login   = "000b0141434d452d3030343220"
	reading = "000e020007016955b90000d70e100149"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func loggedIn(tb testing.TB, p *Program) codec.Dialogue {
	tb.Helper()
	c, err := p.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	d := begin(tb, c)
	receive(tb, d, string(unhex(login)))
	return d
}

// BenchmarkReceive is a reading that is cut and decoded, with its price in fuel.
func BenchmarkReceive(b *testing.B) {
	all := acmes(b)
	interpreter := wazero.NewRuntimeConfigInterpreter() // what processors without a compiler get
	for name, p := range givenPrograms(b, interpreter) {
		all[name+"-interpreted"] = p
	}
	interpreted, err := engineOf(b, "", interpreter).Compile(b.Context(), "go", acmeModule(b), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	all["go-interpreted"] = interpreted
	for name, p := range all {
		b.Run(name, func(b *testing.B) {
			d := loggedIn(b, p).(splitting)
			stream, out := unhex(reading), &codec.Outcome{}
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				_, frame, err := d.Split(stream, false)
				if err == nil {
					err = d.Receive(codec.Frame{Bytes: frame, At: time.Unix(0, 0)}, out)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.limits.Fuel-int64(d.instance.fuel.Get())), "fuel/op")
		})
	}
}

// BenchmarkBegin is a link that begins and ends.
func BenchmarkBegin(b *testing.B) {
	for name, p := range acmes(b) {
		b.Run(name, func(b *testing.B) {
			c, err := p.New(nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				closeDialogue(b, begin(b, c))
			}
		})
	}
}

// BenchmarkLink is the memory of a link that has logged in and sent a reading.
func BenchmarkLink(b *testing.B) {
	for name, p := range acmes(b) {
		b.Run(name, func(b *testing.B) {
			const links = 100
			c, err := p.New(nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				before := heap()
				var all []codec.Dialogue
				for range links {
					d := begin(b, c)
					receive(b, d, string(unhex(login)))
					receive(b, d, string(unhex(reading)))
					all = append(all, d)
				}
				b.ReportMetric(float64(heap()-before)/links/1024, "KiB/link")
				for _, d := range all {
					closeDialogue(b, d)
				}
			}
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkBound is what it costs to bound a call of a thousand turns of a loop: not
// at all, by counting, and by the way of the engine.
func BenchmarkBound(b *testing.B) {
	m := &wasmtest.Module{}
	m.Memory(1, 0)
	m.Func("sum", i32s(1), i32s(1), 1, 0x02, 0x40, 0x03, 0x40, 0x20, 0, 0x45, 0x0d, 1,
		0x20, 1, 0x20, 0, 0x6a, 0x21, 1, 0x20, 0, 0x41, 1, 0x6b, 0x21, 0, 0x0c, 0, 0x0b, 0x0b, 0x20, 1)
	plain := m.Bytes()
	metered, err := meter.Rewrite(plain, meter.Limits{MemoryBytes: 1 << 20, Stack: 1 << 16}, "x")
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name  string
		code  []byte
		close bool
	}{{"none", plain, false}, {"fuel", metered.Code, false}, {"close-on-context-done", plain, true}} {
		for _, turns := range []uint64{0, 1000} {
			b.Run(way.name+"/"+strings.Repeat("turns", int(min(turns, 1))), func(b *testing.B) {
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(way.close))
				defer r.Close(context.Background())
				m, err := r.Instantiate(ctx, way.code)
				if err != nil {
					b.Fatal(err)
				}
				f := m.ExportedFunction("sum")
				fuel, _ := m.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
				var words [1]uint64
				b.ReportAllocs()
				for b.Loop() {
					if fuel != nil {
						fuel.Set(1e9)
					}
					words[0] = turns
					if err := f.CallWithStack(ctx, words[:]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
