package hub

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func TestARefusedMessageIsReadBackAsItWasEncoded(t *testing.T) {
	bare := &message.Message{Device: "a-b", Output: "o", Listener: "l", Codec: "c", Epoch: 1, Seq: 2, Body: []byte{}}
	bare.Created = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	full := telemetry("body")
	full.Properties = []message.Property{{Name: "event", Value: "ignition"}, {Name: "priority", Value: "1"}}
	for _, m := range []*message.Message{full, bare} {
		got, err := readMessage(encode(m))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Body) == 0 {
			got.Body = []byte{}
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("read back as\n%+v, was\n%+v", got, m)
		}
	}
}

func TestARefusalOfAnUnreadableMessageKeepsItsBytes(t *testing.T) {
	reason := errors.New("no")
	r := refusal(&batch{bytes: []byte("garbage")}, reason)
	if !errors.Is(r, reason) || !errors.Is(r, message.ErrRefused) || string(r.Message.Body) != "garbage" {
		t.Errorf("%v: %+v", r, r.Message)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(encode(telemetry("body")))
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m, err := readMessage(encoded)
		if err != nil {
			return
		}
		// What can be read is written and read again as the same.
		again, err := readMessage(encode(m))
		if err == nil && (again.Device != m.Device || again.Epoch != m.Epoch || len(again.Body) != len(m.Body)) {
			t.Errorf("read as %+v, then as %+v", m, again)
		}
	})
}
