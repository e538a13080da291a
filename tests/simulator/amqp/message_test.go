package amqp

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"
)

func messages() []*Message {
	return []*Message{
		{},
		{
			Header:              &Header{Durable: true, Priority: Some(uint8(4)), TTL: Some(uint32(1000)), DeliveryCount: 2},
			DeliveryAnnotations: Map{{Symbol("d"), "x"}},
			Annotations:         Map{{Symbol("x-opt-input-name"), "in"}, {Symbol("x-opt-sequence-number"), uint64(7)}},
			Properties: &Properties{
				MessageID: UUID{1, 2}, UserID: []byte("u"), To: "/devices/d", Subject: "s", ReplyTo: "r",
				CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8",
				AbsoluteExpiryTime: time.UnixMilli(1700000000000).UTC(), CreationTime: time.UnixMilli(5).UTC(),
				GroupID: "g", GroupSequence: Some(uint32(1)), ReplyToGroupID: "rg",
			},
			ApplicationProperties: Map{{"a", "b"}, {"n", int32(1)}},
			Data:                  [][]byte{[]byte("one"), {}},
			Footer:                Map{{Symbol("f"), true}},
		},
		{Value: Some(any("token"))},
		{Value: Some(any(nil))},
		{Sequence: [][]any{{uint32(1), "x"}, {}}},
	}
}

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	for i, m := range messages() {
		data, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got Message
		if err := got.Unmarshal(data); err != nil || !reflect.DeepEqual(&got, m) {
			t.Errorf("message %d came back as %+v, %v", i, got, err)
		}
	}
}

func TestAMessageOfTheOtherImplementationIsReadAlike(t *testing.T) {
	to, kind := "/devices/d", "application/json"
	data, err := (&client.Message{
		Header:                &client.MessageHeader{Durable: true},
		Annotations:           client.Annotations{"operation": "GET"},
		Properties:            &client.MessageProperties{MessageID: client.UUID{7}, To: &to, ContentType: &kind},
		ApplicationProperties: map[string]any{"status": int32(200)},
		Data:                  [][]byte{[]byte("body")},
	}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var m Message
	if err := m.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	operation, _ := m.Annotations.Get("operation")
	status, _ := m.ApplicationProperties.Get("status")
	if operation != "GET" || status != int32(200) || m.Properties.MessageID != (UUID{7}) ||
		m.Properties.ContentType != "application/json" || string(m.Data[0]) != "body" {
		t.Errorf("got %+v %+v", m, m.Properties)
	}
}

func TestTheOtherImplementationReadsOurMessages(t *testing.T) {
	data, err := messages()[1].Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var m client.Message
	if err := m.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if *m.Properties.Subject != "s" || m.Properties.CorrelationID != "c" || m.Header.Priority != 4 ||
		m.Annotations["x-opt-sequence-number"] != uint64(7) || !bytes.Equal(m.Data[0], []byte("one")) {
		t.Errorf("got %+v", m)
	}
}

func TestMessagesWithUnknownSectionsAreRefused(t *testing.T) {
	for _, data := range [][]byte{{0, 0x53, 0x10, 0x45}, {0x45}, {0, 0x53, 0x74, 0x45}, {0, 0x53, 0x76, 0x41},
		{0, 0x53, 0x73, 0xc0, 2, 1, 0x41}} {
		var m Message
		if err := m.Unmarshal(data); !errors.Is(err, ErrMalformed) {
			t.Errorf("% x: %v", data, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range messages() {
		data, err := m.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Message
		if m.Unmarshal(data) != nil {
			return
		}
		out, err := m.Append(nil)
		if err != nil {
			return
		}
		var again Message
		if err := again.Unmarshal(out); err != nil {
			t.Fatalf("%x became %x: %v", data, out, err)
		}
	})
}
