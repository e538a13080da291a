package sim_test

import (
	"context"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// BenchmarkBatches sends batches of 200 messages of 120 bytes over TLS, 64 in flight, from
// one client in the same process: what the hub and its head can take together with it.
func BenchmarkBatches(b *testing.B) {
	const members, window = 200, 64
	e, err := sim.Start(b.Context(), sim.Options{Modules: []string{"m"}, Hub: edge.Options{CountOnly: true}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	session, err := tryConnect(b.Context(), e, "m")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = session.conn.Close() }()
	sender, err := session.NewSender(b.Context(), "/devices/edge/modules/m/messages/events", nil)
	if err != nil {
		b.Fatal(err)
	}
	member, err := outputMessage("telemetry", string(make([]byte, 120))).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	batch := &amqp.Message{Format: 0x80013700}
	for range members {
		batch.Data = append(batch.Data, member)
	}
	receipts := make(chan amqp.SendReceipt, window)
	done := make(chan error, 1)
	go func() {
		for r := range receipts {
			if _, err := r.Wait(context.Background()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	b.ReportAllocs()
	for b.Loop() {
		receipt, err := sender.SendWithReceipt(b.Context(), batch, nil)
		if err != nil {
			b.Fatal(err)
		}
		receipts <- receipt
	}
	close(receipts)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "msg/s")
}
