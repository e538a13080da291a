package mqtthead

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const reading = `{"time":"2026-01-01T00:00:00Z","speed":42,"lat":54.6872,"lon":25.2797}`

const readingTopic = "devices/edge/modules/gw/messages/events/%24.on=telemetry&%24.mid=356307042441013-12-1&deviceId=356307042441013"

// encodeReading is a publish of quality 1 with the id.
func encodeReading(tb testing.TB, id uint16) []byte {
	tb.Helper()
	b, err := publication(readingTopic, []byte(reading), 1, id)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// BenchmarkIngest sends readings with a thousand on their way, as a client that pipelines
// does; the client's work is part of it.
func BenchmarkIngest(b *testing.B) {
	const window = 1000
	h := newHub(b, edge.Options{CountOnly: true})
	addr, _ := serve(b, h, Options{})
	p := enter(b, addr, h, gateway, true)
	_ = p.conn.SetDeadline(time.Time{})
	data := encodeReading(b, 1)
	free := make(chan struct{}, window)
	failed := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			if _, err := p.read(); err != nil {
				failed <- err
				return
			}
			<-free
		}
		failed <- nil
	}()
	w := bufio.NewWriterSize(p.conn, 16<<10)
	for range b.N {
		select {
		case free <- struct{}{}:
		default:
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
			free <- struct{}{}
		}
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := <-failed; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// The packet's buffer, the list of properties, two decoded names, and the message's two maps with one
// group of entries each.
func TestReadingAPublishAllocatesNoMore(t *testing.T) {
	if raceDetector {
		return // the race detector allocates on its own account
	}
	data := encodeReading(t, 1)
	source := bytes.NewReader(data)
	in := bufio.NewReader(source)
	got := testing.AllocsPerRun(1000, func() {
		source.Reset(data)
		in.Reset(source)
		pk, err := readPacket(in)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := parseTopic(pk.TopicName); err != nil || p.id != gateway {
			t.Fatal(err)
		} else if m, err := readMessage(p, pk.Payload, false, false); err != nil || m.Output != "telemetry" {
			t.Fatal(err)
		}
	})
	if got > 8 {
		t.Errorf("%v allocations", got)
	}
}
