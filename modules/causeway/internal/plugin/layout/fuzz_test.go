package layout

import (
	"errors"
	"fmt"
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

// FuzzAcmeAgreesWithTheHand: the layout and the codec by hand say the same of any frame.
func FuzzAcmeAgreesWithTheHand(f *testing.F) {
	f.Add([]byte("\x01dev"), true)
	f.Add(acmeData(3)[:len(acmeData(3))-1], false)
	f.Add([]byte{3}, true)
	f.Add([]byte{0x84, 0}, true)
	p := load(f, "acme")
	f.Fuzz(func(t *testing.T, frame []byte, login bool) {
		frame = append(frame, byte(xor(frame)))
		var outs [2]codec.Outcome
		var kinds [2]string
		for i, factory := range []codec.Factory{p.New, newAcme} {
			d := loggedIn(t, factory)
			if !login {
				c, err := factory(nil)
				if err != nil {
					t.Fatal(err)
				}
				if d, err = c.Begin(codec.Peer{Transport: "tcp"}); err != nil {
					t.Fatal(err)
				}
			}
			switch err := d.Receive(codec.Frame{Bytes: frame}, &outs[i]); {
			case errors.Is(err, codec.ErrProtocol):
				kinds[i] = "protocol"
			case err != nil:
				kinds[i] = "malformed"
			}
			if kinds[i] != "" {
				outs[i] = codec.Outcome{}
			}
			outs[i].Scratch = nil
		}
		if a, b := fmt.Sprintf("%+v", outs[0]), fmt.Sprintf("%+v", outs[1]); kinds[0] != kinds[1] || a != b {
			t.Errorf("%x: the layout says\n%s %s\nthe hand\n%s %s", frame, kinds[0], a, kinds[1], b)
		}
	})
}

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
