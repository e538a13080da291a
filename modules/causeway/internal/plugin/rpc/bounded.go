package rpc

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// maxParts bounds the fields of one answer, those of its messages included: enough
// for a thousand messages with a dozen properties. A message of two bytes on the
// wire takes a hundred times as much in memory, so that a bound in bytes says little.
const maxParts = 16 << 10

// bounded is the wire format of gRPC, but it looks at an answer before it decodes it.
type bounded struct {
	encoding.CodecV2
	answer tree
}

func newBounded() bounded { return bounded{encoding.GetCodecV2(proto.Name), answerTree()} }

// Unmarshal implements encoding.CodecV2.
func (b bounded) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*codecv1.Answer); !ok {
		return b.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	if n := parts(whole.ReadOnlyData(), b.answer, maxParts); n > maxParts {
		return fmt.Errorf("more than %d fields in one answer", maxParts)
	}
	return b.CodecV2.Unmarshal(mem.BufferSlice{whole}, v)
}

// tree says which fields of a message are messages.
type tree map[protowire.Number]tree

// answerTree are the fields of an Answer that there may be many of, by their numbers.
func answerTree() tree {
	leaf := tree{}
	outcome := tree{1: leaf, 2: tree{5: leaf, 6: leaf}, 6: leaf} // identity, messages, results
	return tree{2: outcome, 4: tree{1: leaf}}
}

// parts counts the fields of a message and of those within it, and stops above most.
// What cannot be read is left to the decoder to refuse.
func parts(b []byte, t tree, most int) (count int) {
	for len(b) > 0 && count <= most {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return count
		}
		count++
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return count
		}
		if below := t[number]; below != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(b)
			count += parts(inner, below, most-count)
		}
		b = b[n:]
	}
	return count
}
