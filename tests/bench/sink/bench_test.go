package sink

import (
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/bench/check"
	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

// BenchmarkCount is what the sink does for a message as Causeway sends it, without what
// carries it there: it has to be far below what any gateway does.
func BenchmarkCount(b *testing.B) {
	record := `{"timestamp":"2026-11-28T12:00:00.000Z","priority":"low","position":{"longitude":25.2797,"latitude":54.6872,` +
		`"altitude":112,"angle":90,"satellites":9,"speed":54},"event":0,"io":{"ignition":1,"movement":1,"gsmSignal":4,` +
		`"externalVoltage":12.007,"batteryVoltage":3.907,"totalOdometer":1,"iButton":"010000001C6B0101"}}`
	line := payload.NewSource(payload.Datagrams, 0, 1).Append(nil, 1, time.Now().UnixNano())
	for name, body := range map[string][]byte{"line": line, "record": []byte(record)} {
		b.Run(name, func(b *testing.B) {
			m := goamqp.NewMessage(body)
			m.Properties = &goamqp.MessageProperties{MessageID: "d0000001-0-1"}
			m.ApplicationProperties = map[string]any{
				"iothub-outputname": "telemetry", "deviceId": "352093081452251", "listener": "l0", "codec": "json",
			}
			member, err := m.MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			batch := &goamqp.Message{}
			const members = 100
			for range members {
				batch.Data = append(batch.Data, member)
			}
			data, err := batch.MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			c := &counter{tally: check.NewTally()}
			d := &amqp.Delivery{Format: batchFormat, Data: data}
			b.ReportAllocs()
			for b.Loop() {
				c.count(d)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/message")
			if c.tally.Counts().Foreign != 0 {
				b.Fatal("not read")
			}
		})
	}
}
