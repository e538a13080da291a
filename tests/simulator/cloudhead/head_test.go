package cloudhead_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/cloudhead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub knows one device and one token.
type hub struct {
	mu       sync.Mutex
	sent     []edge.Message
	feedback chan []edge.FeedbackRecord
}

func (h *hub) CheckService(token string, hosts ...string) error {
	if token == "good" && len(hosts) == 1 && hosts[0] == "hub.example" {
		return nil
	}
	return edge.ErrUnauthorized
}

func (h *hub) InjectCloudToDevice(device string, m edge.Message) error {
	switch device {
	case "a b":
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sent = append(h.sent, m)
		return nil
	case "full":
		return fmt.Errorf("send: %w", &edge.Refusal{Condition: edge.ConditionQueueFull, Description: "full"})
	}
	return edge.ErrUnknownIdentity
}

func (h *hub) Feedback(ctx context.Context) []edge.FeedbackRecord {
	select {
	case records := <-h.feedback:
		return records
	case <-ctx.Done():
		return nil
	}
}

func (h *hub) ReturnFeedback(records []edge.FeedbackRecord) { h.feedback <- records }

// dial starts a head and returns a session on it.
func dial(t *testing.T) (*hub, *amqp.Session) {
	t.Helper()
	h, address := serve(t)
	conn, err := amqp.Dial(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	session, err := conn.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return h, session
}

// serve starts a head until the end of the test.
func serve(t *testing.T) (*hub, string) {
	t.Helper()
	h := &hub{feedback: make(chan []edge.FeedbackRecord, 10)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cloudhead.New(h, []string{"hub.example"}).Serve(serving, l) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return h, "amqp://" + l.Addr().String()
}

// put puts a token and returns the status.
func put(t *testing.T, s *amqp.Session, operation, token string) int32 {
	t.Helper()
	answers, err := s.NewReceiver(t.Context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := s.NewSender(t.Context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Send(t.Context(), &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: "1"},
		ApplicationProperties: map[string]any{
			"operation": operation, "type": "servicebus.windows.net:sastoken", "name": "hub.example",
		},
		Value: token,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := answers.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Properties.CorrelationID != "1" {
		t.Fatalf("answer to %v", m.Properties.CorrelationID)
	}
	status, _ := m.ApplicationProperties["status-code"].(int32)
	return status
}

func TestNothingGoesWithoutAToken(t *testing.T) {
	t.Parallel()
	_, s := dial(t)
	attach := func() error {
		_, err := s.NewSender(t.Context(), "/messages/devicebound", nil)
		return err
	}
	var refusal *amqp.Error
	if err := attach(); !errors.As(err, &refusal) || refusal.Condition != amqp.ErrCondUnauthorizedAccess {
		t.Fatalf("without a token: %v", err)
	}
	for _, c := range []struct {
		operation, token string
		status           int32
	}{{"put-token", "bad", 401}, {"take-token", "good", 400}, {"put-token", "good", 200}} {
		if got := put(t, s, c.operation, c.token); got != c.status {
			t.Fatalf("%s %s: got %d", c.operation, c.token, got)
		}
	}
	if err := attach(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewSender(t.Context(), "/messages/else", nil); !errors.As(err, &refusal) ||
		refusal.Condition != amqp.ErrCondNotFound {
		t.Fatalf("an unknown node: %v", err)
	}
}

func TestPlainIsGoodForThePolicyOnly(t *testing.T) {
	t.Parallel()
	_, address := serve(t)
	for _, c := range []struct {
		user, token string
		good        bool
	}{
		{"iothubowner@sas.root.hub", "good", true},
		{"iothubowner@sas.root.hub", "bad", false},
		{"device@sas.root.hub", "good", false},
	} {
		conn, err := amqp.Dial(t.Context(), address, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain(c.user, c.token)})
		if (err == nil) != c.good {
			t.Fatalf("%s %s: %v", c.user, c.token, err)
		}
		if err != nil {
			continue
		}
		session, err := conn.NewSession(t.Context(), nil)
		if err == nil {
			_, err = session.NewSender(t.Context(), "/messages/devicebound", nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
}

func TestMessagesGoToTheDeviceThatIsNamed(t *testing.T) {
	t.Parallel()
	h, s := dial(t)
	put(t, s, "put-token", "good")
	sender, err := s.NewSender(t.Context(), "amqps://hub.example/messages/devicebound", nil)
	if err != nil {
		t.Fatal(err)
	}
	expiry := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	to := func(address string) *amqp.Message {
		m := amqp.NewMessage([]byte("hello"))
		kind := "text/plain"
		m.Properties = &amqp.MessageProperties{To: &address, MessageID: "m1", ContentType: &kind, AbsoluteExpiryTime: &expiry}
		m.ApplicationProperties = map[string]any{"iothub-ack": "full", "n": int32(7)}
		return m
	}
	if err := sender.Send(t.Context(), to("/devices/a%20b/messages/devicebound"), nil); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	got := h.sent[0]
	h.mu.Unlock()
	until, err := time.Parse(time.RFC3339Nano, got.System["absolute-expiry-time"])
	if err != nil || !until.Equal(expiry) || string(got.Body) != "hello" || got.System["messageId"] != "m1" ||
		got.System["contentType"] != "text/plain" || got.Properties["iothub-ack"] != "full" || got.Properties["n"] != "7" {
		t.Fatalf("got %+v", got)
	}
	for address, want := range map[string]amqp.ErrCond{
		"/devices/nobody/messages/devicebound": amqp.ErrCondNotFound,
		"/devices/full/messages/devicebound":   amqp.ErrCondResourceLimitExceeded,
		"/devices/full":                        amqp.ErrCondNotAllowed,
	} {
		var refusal *amqp.Error
		if err := sender.Send(t.Context(), to(address), nil); !errors.As(err, &refusal) || refusal.Condition != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	bare := amqp.NewMessage([]byte("x"))
	if err := sender.Send(t.Context(), bare, nil); err == nil {
		t.Error("a message to nobody was taken")
	}
}

func TestFeedbackComesAgainUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	h, s := dial(t)
	put(t, s, "put-token", "good")
	h.feedback <- []edge.FeedbackRecord{{MessageID: "m1", Device: "d", Generation: "7", Status: edge.FeedbackSuccess, Time: time.Unix(9, 0)}}
	receiver, err := s.NewReceiver(t.Context(), "/messages/serviceBound/feedback", nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := receiver.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.ReleaseMessage(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	again, err := receiver.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.AcceptMessage(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	var records []map[string]any
	if err := json.Unmarshal(again.GetData(), &records); err != nil || len(records) != 1 ||
		records[0]["originalMessageId"] != "m1" || records[0]["statusCode"] != "Success" || records[0]["deviceGenerationId"] != "7" ||
		records[0]["enqueuedTimeUtc"] != "1970-01-01T00:00:09Z" {
		t.Fatalf("got %s %v", again.GetData(), err)
	}
}

func TestFeedbackThatIsNotSettledStays(t *testing.T) {
	t.Parallel()
	h, s := dial(t)
	put(t, s, "put-token", "good")
	h.feedback <- []edge.FeedbackRecord{{MessageID: "m1"}}
	receiver, err := s.NewReceiver(t.Context(), "/messages/servicebound/feedback", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receiver.Receive(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := receiver.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case records := <-h.feedback:
		if records[0].MessageID != "m1" {
			t.Fatalf("got %+v", records)
		}
	case <-t.Context().Done():
		t.Fatal("the records are lost")
	}
}
