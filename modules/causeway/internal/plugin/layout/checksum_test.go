package layout

import (
	"strings"
	"testing"
)

func TestCheckSumsAreThoseOfTheCatalogue(t *testing.T) {
	digits := []byte("123456789")
	for _, m := range crcModels {
		for _, name := range strings.Fields(m.names) {
			a, ok := algorithmOf(name)
			if !ok || a.bits != m.width || a.sum(digits) != m.check {
				t.Errorf("%s: got %x of %d bits, want %x", name, a.sum(digits), a.bits, m.check)
			}
		}
	}
	for name, want := range map[string]uint64{
		"xor": 0x31, "sum8": 0xdd, "sum16": 0x1dd, "neg8": 0x23, "lrc": 0x23, "fletcher16": 0x1ede,
	} {
		if a, ok := algorithmOf(name); !ok || a.sum(digits) != want {
			t.Errorf("%s: got %x, want %x", name, a.sum(digits), want)
		}
	}
	if _, ok := algorithmOf("crc-9"); ok {
		t.Error("crc-9 is known")
	}
}
