package rpc

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// FuzzAnswer takes whatever a server may send for each kind of answer.
func FuzzAnswer(f *testing.F) {
	for _, a := range []*codecv1.Answer{
		everything(),
		outcome(&codecv1.Outcome{
			Identity: &codecv1.Identity{Device: "d"}, Ack: []byte{6},
			Messages: []*codecv1.Message{{Body: []byte("1"), Properties: []*codecv1.Property{{Name: "a"}}}},
			Results:  []*codecv1.Result{{Correlation: "1", Payload: []byte("{}"), Error: "no"}},
		}),
		{Kind: &codecv1.Answer_Cut{Cut: &codecv1.Cut{Advance: 2, Frame: &codecv1.Cut_At{At: &codecv1.Range{Length: 1}}}}},
		{Kind: &codecv1.Answer_Explanation{Explanation: &codecv1.Explanation{Fields: []*codecv1.Field{{At: &codecv1.Range{Length: 9}}}}}},
		{Failure: &codecv1.Failure{Kind: codecv1.Failure_OPTION, Text: "x", Pointer: "/y"}},
	} {
		b, err := proto.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a codecv1.Answer
		if proto.Unmarshal(b, &a) != nil {
			return
		}
		var out codec.Outcome
		if err := fill(&out, a.GetOutcome()); err == nil && len(out.Messages) != len(a.GetOutcome().GetMessages()) {
			t.Error("messages are missing")
		}
		data := []byte("abc")
		if n, frame, ok := cut(a.GetCut(), data); ok && (n < 0 || n > len(data) || frame != nil && n == 0) {
			t.Errorf("cut %d, %q", n, frame)
		}
		at := 0
		for _, field := range fields(a.GetExplanation(), len(data)) {
			if field.Offset < at || field.Len < 0 || field.Offset+field.Len > len(data) {
				t.Errorf("field %+v", field)
			}
			at = field.Offset
		}
		if failure := a.GetFailure(); failure != nil && failed(failure).Error() == "" {
			if failure.GetKind() != codecv1.Failure_OPTION {
				t.Error("a failure without words")
			}
		}
	})
}
