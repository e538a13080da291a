package hub

import (
	"bytes"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// aFlight is a transfer of so many messages.
func aFlight(tb testing.TB, messages int) (*mqttLink, *flight) {
	tb.Helper()
	u := NewUplink(UplinkOptions{})
	for range messages {
		mustSend(tb, u, strings.Repeat("x", 200))
	}
	return &mqttLink{hub: &Hub{opts: Options{Identity: testIdentity("")}, uplink: u}}, mustNext(tb, u)
}

func TestAPublicationCostsFewAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates too
	}
	const messages, most = 50, 52 // 48, nearly all of them to read the AMQP form back
	l, f := aFlight(t, messages)
	if got := testing.AllocsPerRun(20, func() { _, _ = l.publications(f) }) / messages; got > most {
		t.Errorf("%.1f allocations for a message, at most %d", got, most)
	}
}

func BenchmarkPublications(b *testing.B) {
	const messages = 50
	l, f := aFlight(b, messages)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.publications(f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
}

func FuzzPacketsAreReadOrRefused(f *testing.F) {
	for _, p := range []packets.ControlPacket{
		&packets.ConnackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Connack}},
		&packets.SubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Suback}, MessageID: 1, ReturnCodes: []byte{0, 0x80}},
		&packets.PublishPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Publish, Qos: 1}, TopicName: "a/b", MessageID: 7},
		&packets.PubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Puback}, MessageID: 7},
	} {
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := newMQTTWire(nil)
		w.in.Reset(bytes.NewReader(raw))
		for {
			p, err := w.read()
			if err != nil {
				return
			}
			if m, ok := p.(*packets.PublishPacket); ok && len(m.TopicName)+len(m.Payload) > len(raw) {
				t.Fatalf("%d bytes make a publish of %d", len(raw), len(m.TopicName)+len(m.Payload))
			}
		}
	})
}
