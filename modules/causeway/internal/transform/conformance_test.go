package transform

import (
	"encoding/json"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

// loud is a codec that keeps to the contract, within the chain that its options name.
func loud(setting json.RawMessage) (codec.Codec, error) {
	c, err := Parse(setting, around())
	if err != nil {
		return nil, err
	}
	return c.Wrap(codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		if len(f.Bytes) == 0 {
			return codec.ErrMalformed
		}
		m := out.Add()
		m.Body, m.Device = f.Bytes[1:], "d1"
		from := len(out.Scratch)
		out.Scratch = append(out.Scratch, 'A', f.Bytes[0])
		out.Ack = out.Scratch[from:len(out.Scratch):len(out.Scratch)]
		return nil
	})), nil
}

// A codec within a chain keeps to the contract: what it is given is only borrowed, and
// no broken frame makes it panic.
func TestACodecWithinAChainPassesTheSuite(t *testing.T) { codectest.Run(t, loud, "testdata") }

func FuzzACodecWithinAChain(f *testing.F) { codectest.Fuzz(f, loud, "testdata") }
