package layout

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func FuzzAcme(f *testing.F)   { codectest.Fuzz(f, load(f, "acme").New, "testdata/acme") }
func FuzzGT06(f *testing.F)   { codectest.Fuzz(f, load(f, "gt06").New, "testdata/gt06") }
func FuzzJT808(f *testing.F)  { codectest.Fuzz(f, load(f, "jt808").New, "testdata/jt808") }
func FuzzMeter(f *testing.F)  { codectest.Fuzz(f, load(f, "meter").New, "testdata/meter") }
func FuzzModbus(f *testing.F) { codectest.Fuzz(f, load(f, "modbus").New, "testdata/modbus") }
func FuzzText(f *testing.F)   { codectest.Fuzz(f, load(f, "text").New, "testdata/text") }
func FuzzTLV(f *testing.F)    { codectest.Fuzz(f, load(f, "tlv").New, "testdata/tlv") }

// FuzzCompile: no source makes the compiler panic, and what it takes makes a codec
// that survives any frame.
func FuzzCompile(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte("\x01\x00\x03\x02abc,1=2"))
	}
	f.Add([]byte("layout: 1\nmessages: {a: {fields: [{name: x, value: \"x\"}, {repeat: end, name: y, fields: [{type: u8, name: z}]}]}}"), []byte{1})
	f.Fuzz(func(t *testing.T, text, frame []byte) {
		p, err := Compile("fuzz", text)
		if err != nil {
			return
		}
		c, err := p.New(nil)
		if err != nil {
			return // a parameter without a default
		}
		for _, transport := range []string{"tcp", "udp"} {
			d, err := c.Begin(codec.Peer{Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			var out codec.Outcome
			if framer, ok := d.(codec.Framer); ok {
				if n, cut, err := framer.Split(append([]byte(nil), frame...), false); n < 0 || n > len(frame) || err == nil && len(cut) > n {
					t.Fatalf("%d bytes of %d, %x, %v", n, len(frame), cut, err)
				}
			}
			_ = d.Receive(codec.Frame{Bytes: append([]byte(nil), frame...)}, &out)
			at := 0
			for _, field := range d.(codec.Explainer).Explain(frame) {
				if field.Offset < at || field.Len < 0 || field.Offset+field.Len > len(frame) {
					t.Fatalf("%+v of %d bytes, after %d", field, len(frame), at)
				}
				at = field.Offset
			}
		}
	})
}
