package js

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dop251/goja"
)

// BenchmarkUnguarded is the same work by the engine alone: a script as it is, its
// result thrown away. The difference is the price of the budget.
func BenchmarkUnguarded(b *testing.B) {
	for name, path := range map[string]string{
		"climate":      "formatters/ttn_climate/ttn_climate.js",
		"channels":     "formatters/tlv_channels/tlv_channels.js",
		"class reader": "formatters/es6_classes/es6_classes.js",
	} {
		b.Run(name, func(b *testing.B) {
			source, err := os.ReadFile(filepath.Join("testdata", path))
			if err != nil {
				b.Fatal(err)
			}
			vm := goja.New()
			v, err := vm.RunString(string(source) + "\ndecodeUplink")
			if err != nil {
				b.Fatal(err)
			}
			decode, _ := goja.AssertFunction(v)
			var frame []any
			for _, c := range unhex(b, hot(b)[name].frame) {
				frame = append(frame, int64(c))
			}
			b.ReportAllocs()
			for b.Loop() {
				input := vm.NewObject()
				if err := input.Set("bytes", vm.NewArray(frame...)); err != nil {
					b.Fatal(err)
				}
				if err := input.Set("fPort", 1); err != nil {
					b.Fatal(err)
				}
				if _, err := decode(goja.Undefined(), input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareEngine is an engine without guards and helpers.
func BenchmarkBareEngine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		goja.New()
	}
}
