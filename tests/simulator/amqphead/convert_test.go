package amqphead

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func encoded(tb testing.TB, m *amqp.Message) []byte {
	tb.Helper()
	data, err := m.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// batchOf returns a batch of the members.
func batchOf(tb testing.TB, members ...[]byte) []byte {
	tb.Helper()
	return encoded(tb, &amqp.Message{Data: members})
}

func reading(i int) *amqp.Message {
	return &amqp.Message{
		Properties: &amqp.Properties{
			MessageID: fmt.Sprintf("356307042441013-12-%d", i), ContentType: "application/json", ContentEncoding: "utf-8",
		},
		ApplicationProperties: amqp.Map{
			{Key: "iothub-outputname", Value: "telemetry"}, {Key: "deviceId", Value: "356307042441013"},
			{Key: "codec", Value: "teltonika"},
		},
		Data: [][]byte{[]byte(`{"time":"2026-01-01T00:00:00Z","speed":42,"lat":54.6872,"lon":25.2797}`)},
	}
}

func TestAMessageIsReadWithTheHubsNames(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &amqp.Message{
		Header:              &amqp.Header{Durable: true},
		DeliveryAnnotations: amqp.Map{{Key: amqp.Symbol("x"), Value: "y"}},
		Annotations: amqp.Map{
			{Key: amqp.Symbol("iothub-enqueuedtime"), Value: when}, {Key: amqp.Symbol("iothub-deliverycount"), Value: uint8(2)},
			{Key: amqp.Symbol("x-opt-sequence-number"), Value: uint64(9)}, {Key: amqp.Symbol("x-opt-lock-token"), Value: "l"},
			{Key: amqp.Symbol("dt-subject"), Value: "part"}, {Key: amqp.Symbol("iothub-interface-id"), Value: "if"},
			{Key: amqp.Symbol("other"), Value: amqp.Map{}},
		},
		Properties: &amqp.Properties{
			MessageID: amqp.UUID{0xab}, UserID: []byte("u"), To: "t", Subject: "not read", CorrelationID: uint64(7),
			ContentType: "application/json", ContentEncoding: "utf-8", AbsoluteExpiryTime: when, GroupID: "not read",
		},
		ApplicationProperties: amqp.Map{
			{Key: "iothub-outputname", Value: "out"}, {Key: "iothub-message-schema", Value: "s"},
			{Key: "iothub-creation-time-utc", Value: "c"}, {Key: "iothub-operation", Value: "o"},
			{Key: "kept", Value: "v"}, {Key: "empty", Value: ""},
			{Key: "int", Value: int32(1)}, {Key: "symbol", Value: amqp.Symbol("x")}, {Key: "null", Value: nil},
		},
		Data: [][]byte{[]byte("one "), []byte("two")},
	}
	from := edge.Identity{Device: "d", Module: "m"}
	got, err := decodeTransfer(from, 0, encoded(t, m))
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	system := map[string]string{
		"messageId": "ab000000-0000-0000-0000-000000000000", "userId": "u", "to": "t", "cid": "7",
		"contentType": "application/json", "contentEncoding": "utf-8", "messageSchema": "s", "creationTime": "c",
		"operation": "o", "absolute-expiry-time": "2026-01-02T03:04:05.0000000Z",
		"enqueuedTime": "2026-01-02T03:04:05.0000000Z", "deliveryCount": "2", "sequenceNumber": "9", "lockToken": "l",
		"dt-subject": "part", "iothub-interface-id": "if",
	}
	g := got[0]
	if g.From != from || g.Output != "out" || string(g.Body) != "one two" || !maps.Equal(g.System, system) ||
		!maps.Equal(g.Properties, map[string]string{"kept": "v", "empty": ""}) {
		t.Errorf("got %+v", g)
	}
}

func TestWhatABatchHoldsBeforeABadMemberIsKept(t *testing.T) {
	good := encoded(t, reading(1))
	cases := []struct {
		name string
		bad  []byte
		err  error
	}{
		{"too large", encoded(t, &amqp.Message{Data: [][]byte{make([]byte, maxOne+1)}}), errTooLarge},
		{"too large by its properties", encoded(t, &amqp.Message{ApplicationProperties: amqp.Map{
			{Key: "k", Value: strings.Repeat("v", maxOne)}}}), errTooLarge},
		{"not AMQP", []byte("hello"), amqp.ErrMalformed},
		{"names that differ by case", encoded(t, &amqp.Message{ApplicationProperties: amqp.Map{
			{Key: "Kind", Value: "a"}, {Key: "kind", Value: "b"}}}), errDuplicate},
		{"body that is a value", encoded(t, &amqp.Message{Value: amqp.Some(any("v"))}), errBody},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeTransfer(edge.Identity{}, batchFormat, batchOf(t, good, good, c.bad, good))
			if len(got) != 2 || !errors.Is(err, c.err) {
				t.Errorf("%d messages, %v", len(got), err)
			}
		})
	}
	exact := encoded(t, &amqp.Message{Data: [][]byte{make([]byte, maxOne)}})
	if got, err := decodeTransfer(edge.Identity{}, batchFormat, batchOf(t, exact)); len(got) != 1 || err != nil {
		t.Errorf("at the limit: %d messages, %v", len(got), err)
	}
}

func TestTheLockTokenIsWrittenAsDotNetDoes(t *testing.T) {
	got := tagOf("00112233-4455-6677-8899-aabbccddeeff")
	want := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if !bytes.Equal(got, want) {
		t.Errorf("% x", got)
	}
	if tagOf("no guid") != nil {
		t.Error("a tag of no guid")
	}
}

// readings returns a batch of n.
func readings(tb testing.TB, n int) []byte {
	tb.Helper()
	members := make([][]byte, n)
	for i := range members {
		members[i] = encoded(tb, reading(i))
	}
	return batchOf(tb, members...)
}

func TestDecodingABatchAllocatesTwoMapsForEachMessage(t *testing.T) {
	if raceDetector {
		return // it allocates on its own account
	}
	const n = 1000
	data := readings(t, n)
	perMessage := testing.AllocsPerRun(10, func() {
		if _, err := decodeTransfer(edge.Identity{}, batchFormat, data); err != nil {
			t.Error(err)
		}
	}) / n
	// Two maps with one group of entries each, and the growth of the slice.
	if perMessage > 4.2 {
		t.Errorf("%.2f allocations for each message", perMessage)
	}
}

func FuzzTransfer(f *testing.F) {
	f.Add(uint32(0), encoded(f, reading(1)))
	f.Add(uint32(batchFormat), readings(f, 3))
	f.Fuzz(func(t *testing.T, format uint32, data []byte) {
		before := slices.Clone(data)
		got, err := decodeTransfer(edge.Identity{Device: "d"}, format, data)
		if format != batchFormat && len(got) > 1 || err != nil && format != batchFormat && len(got) > 0 {
			t.Fatalf("%d messages, %v", len(got), err)
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
	})
}

func BenchmarkDecodeBatch(b *testing.B) {
	const n = 2000
	data := readings(b, n)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeTransfer(edge.Identity{}, batchFormat, data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
