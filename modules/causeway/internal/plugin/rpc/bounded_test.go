package rpc

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

func TestPartsAreCountedAsDeepAsThereMayBeMany(t *testing.T) {
	property := &codecv1.Property{Name: "a", Value: "b"}
	for _, c := range []struct {
		answer *codecv1.Answer
		want   int
	}{
		{&codecv1.Answer{}, 0},
		{outcome(&codecv1.Outcome{}), 1},
		{outcome(&codecv1.Outcome{Reply: []byte("x"), Close: "y"}), 3},
		{outcome(&codecv1.Outcome{Messages: []*codecv1.Message{{}, {Properties: []*codecv1.Property{property, property}}}}), 9},
		{outcome(&codecv1.Outcome{Results: []*codecv1.Result{{Error: "x"}}, Identity: &codecv1.Identity{Device: "d"}}), 5},
		{&codecv1.Answer{Kind: &codecv1.Answer_Explanation{Explanation: &codecv1.Explanation{Fields: []*codecv1.Field{{Name: "n"}}}}}, 3},
	} {
		b, err := proto.Marshal(c.answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := parts(b, answerTree(), maxParts); got != c.want {
			t.Errorf("%v: %d parts, want %d", c.answer, got, c.want)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte{0x12, 2, 0x12, 0})
	f.Add([]byte{0x12, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := parts(b, answerTree(), 100); n < 0 || n > len(b) {
			t.Errorf("%d parts in %d bytes", n, len(b))
		}
	})
}
