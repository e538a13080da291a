package amqphead_test

import (
	"context"
	"fmt"
	"testing"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// sink is a hub that forgets what it stores.
type sink struct{ *hub }

func (sink) Publish(context.Context, edge.Identity, []edge.Message) error { return nil }

// BenchmarkIngest sends batches of a thousand readings with eight on their way, as a
// gateway does; the client's work is part of it.
func BenchmarkIngest(b *testing.B) {
	const members, window = 1000, 8
	batch := &amqp.Message{Format: 0x80013700}
	for i := range members {
		data, err := (&amqp.Message{
			Properties:            &amqp.MessageProperties{MessageID: fmt.Sprintf("356307042441013-12-%d", i)},
			ApplicationProperties: map[string]any{"iothub-outputname": "telemetry", "deviceId": "356307042441013"},
			Data:                  [][]byte{[]byte(`{"time":"2026-01-01T00:00:00Z","speed":42,"lat":54.6872,"lon":25.2797}`)},
		}).MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		batch.Data = append(batch.Data, data)
	}
	p := login(b, serveHead(b, sink{newHub()}, amqphead.Options{}), gatewayToken)
	events := p.sender(gatewayEvents, nil)
	receipts := make(chan amqp.SendReceipt, window)
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan error, 1)
	go func() {
		var failed error
		for r := range receipts {
			if _, err := r.Wait(b.Context()); err != nil {
				failed = err
			}
		}
		done <- failed
	}()
	for range b.N {
		r, err := events.SendWithReceipt(b.Context(), batch, nil)
		if err != nil {
			b.Fatal(err)
		}
		receipts <- r
	}
	close(receipts)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(members)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
