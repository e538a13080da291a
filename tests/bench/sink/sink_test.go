package sink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/bench/check"
	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/bench/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o sink.Options) *sink.Sink {
	t.Helper()
	o.State = t.TempDir()
	s, err := sink.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// sender connects to the free address.
func sender(t *testing.T, url string, config *tls.Config) *amqp.Sender {
	t.Helper()
	conn, err := amqp.Dial(t.Context(), url, &amqp.ConnOptions{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	session, err := conn.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.NewSender(t.Context(), sink.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lines are n documents of one device.
func lines(n int) (list [][]byte) {
	source := payload.NewSource(payload.Datagrams, 0, 1)
	for range n {
		list = append(list, source.Append(nil, 1, time.Now().UnixNano()))
	}
	return list
}

func send(t *testing.T, s *amqp.Sender, m *amqp.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Send(ctx, m, nil); err != nil {
		t.Fatal(err)
	}
}

// batch is a transfer in IoT Hub's format.
func batch(t *testing.T, messages ...*amqp.Message) *amqp.Message {
	t.Helper()
	b := &amqp.Message{Format: 0x80013700}
	for _, m := range messages {
		member, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		b.Data = append(b.Data, member)
	}
	return b
}

func TestMessagesAndBatchesAreCounted(t *testing.T) {
	s := start(t, sink.Options{})
	plain := sender(t, "amqp://"+s.Ready.Plain, nil)
	all := lines(5)
	send(t, plain, amqp.NewMessage(all[0]))
	send(t, plain, batch(t, amqp.NewMessage(all[1]), amqp.NewMessage(all[3]), amqp.NewMessage(all[2])))
	send(t, plain, batch(t, amqp.NewMessage(all[1]), amqp.NewMessage([]byte("noise"))))
	want := check.Counts{Distinct: 4, Duplicates: 1, Reordered: 1, Foreign: 1}
	if f := s.Figures(); f.Counts != want || f.Latency.Count != 4 || f.Latency.Max <= 0 || f.Latency.P50 > f.Latency.P999 {
		t.Errorf("%+v, want %+v", f, want)
	}
}

func TestARecordIsItsPropertysDevices(t *testing.T) {
	s := start(t, sink.Options{})
	m := amqp.NewMessage([]byte(`{"timestamp":"2026-11-28T12:00:00Z","io":{"totalOdometer":0}}`))
	m.ApplicationProperties = map[string]any{"iothub-outputname": "telemetry", "deviceId": "352093081452251"}
	nobodys := amqp.NewMessage(m.Data[0])
	send(t, sender(t, "amqp://"+s.Ready.Plain, nil), batch(t, m, nobodys))
	if f := s.Figures(); f.Counts != (check.Counts{Distinct: 1, Foreign: 1}) {
		t.Errorf("%+v", f)
	}
}

func TestBytesThatAreNoMessageAreForeign(t *testing.T) {
	s := start(t, sink.Options{})
	plain := sender(t, "amqp://"+s.Ready.Plain, nil)
	for _, member := range [][]byte{{1, 2, 3}, {0x00, 0x53, 0x75, 0xa0, 200, 1}, {0x00, 0x53, 0x74, 0xd1}} {
		send(t, plain, &amqp.Message{Format: 0x80013700, Data: [][]byte{member}})
	}
	if f := s.Figures(); f.Counts != (check.Counts{Foreign: 3}) {
		t.Errorf("%+v", f)
	}
}

func TestALateHubAnswersLateAndAllAtOnce(t *testing.T) {
	const delay = 100 * time.Millisecond
	s := start(t, sink.Options{Delay: delay})
	root, err := os.ReadFile(s.Ready.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	secure := sender(t, "amqps://"+s.Ready.Secure, &tls.Config{RootCAs: pool})
	begun := time.Now()
	var receipts []amqp.SendReceipt
	const many = 50
	for _, line := range lines(many) {
		r, err := secure.SendWithReceipt(t.Context(), amqp.NewMessage(line), nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for _, r := range receipts {
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took < delay || took > many*delay/2 {
		t.Errorf("took %v for %d messages", took, many)
	}
}

func TestTheControlAPITellsAndForgets(t *testing.T) {
	s := start(t, sink.Options{})
	send(t, sender(t, "amqp://"+s.Ready.Plain, nil), amqp.NewMessage(lines(1)[0]))
	ask := func(method, path string) (f sink.Figures) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.Ready.Control+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || json.Unmarshal(text, &f) != nil || resp.Body.Close() != nil {
			t.Fatalf("%s: %s, %v", path, text, err)
		}
		return f
	}
	if f := ask(http.MethodGet, "/counts"); f.Distinct != 1 || f.Latency.Count != 0 {
		t.Errorf("counts: %+v", f)
	}
	if f := ask(http.MethodGet, "/figures"); f.Distinct != 1 || f.Latency.Count != 1 || f.CPU <= 0 {
		t.Errorf("figures: %+v", f)
	}
	ask(http.MethodPost, "/mark")
	if f := ask(http.MethodGet, "/figures"); f.Distinct != 1 || f.Latency.Count != 0 {
		t.Errorf("after a mark: %+v", f)
	}
}

func TestAModulesAddressAsksForAToken(t *testing.T) {
	s := start(t, sink.Options{Desired: json.RawMessage(`{"a":1}`)})
	conn, err := amqp.Dial(t.Context(), "amqp://"+s.Ready.Plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	session, err := conn.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.NewSender(t.Context(), "/devices/edge/modules/causeway/messages/events", nil); err == nil {
		t.Error("attached without a token")
	}
}
