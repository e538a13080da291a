package amqphead_test

import (
	"encoding/json"
	"testing"
	"time"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const lockToken = "00112233-4455-6677-8899-aabbccddeeff"

// offer hands an input message to the identity's session and returns its outcome.
func offer(h *hub, id edge.Identity, m edge.Message) <-chan edge.Outcome {
	outcome := make(chan edge.Outcome, 1)
	h.session(id).Input(edge.Delivery{Message: m, LockToken: lockToken, Settle: func(o edge.Outcome) { outcome <- o }})
	return outcome
}

func TestAnInputMessageCarriesItsAnnotationsAndItsOutcomeComesBack(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	in := p.receiver(gatewayEvents, &amqp.ReceiverOptions{Credit: 5})
	if !h.subscribed(gateway, edge.TopicInputs) {
		t.Error("not subscribed")
	}
	sent := edge.Message{
		From: edge.Identity{Device: "leaf", Module: "source"}, Input: "commands", Output: "not told", Body: []byte("body"),
		Properties: map[string]string{"a": "b"}, Enqueued: time.UnixMilli(1700000000000).UTC(),
		System: map[string]string{"messageId": "m1", "cid": "c1", "contentType": "application/json", "contentEncoding": "utf-8",
			"to": "/t", "userId": "u", "messageSchema": "s", "sequenceNumber": "7", "deliveryCount": "2",
			"absolute-expiry-time": "2030-01-01T00:00:00.0000000Z"},
	}
	answers := []struct {
		answer  func(*amqp.Message) error
		outcome edge.Outcome
	}{
		{func(m *amqp.Message) error { return in.AcceptMessage(bounded(t), m) }, edge.Accepted},
		{func(m *amqp.Message) error { return in.RejectMessage(bounded(t), m, nil) }, edge.Rejected},
		{func(m *amqp.Message) error { return in.ReleaseMessage(bounded(t), m) }, edge.Released},
		{func(m *amqp.Message) error { return in.ModifyMessage(bounded(t), m, nil) }, edge.Modified},
	}
	for _, a := range answers {
		outcome := offer(h, gateway, sent)
		m, err := in.Receive(bounded(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		checkInput(t, m)
		if err := a.answer(m); err != nil {
			t.Fatal(err)
		}
		if o := next(t, outcome); o != a.outcome {
			t.Errorf("outcome %v, want %v", o, a.outcome)
		}
	}
}

func checkInput(t *testing.T, m *amqp.Message) {
	t.Helper()
	notes := map[string]any{
		"x-opt-input-name": "commands", "iothub-connection-device-id": "leaf", "iothub-connection-module-id": "source",
		"x-opt-lock-token": lockToken, "iothub-deliverycount": uint8(2), "x-opt-sequence-number": uint64(7),
	}
	for key, want := range notes {
		if got := m.Annotations[key]; got != want {
			t.Errorf("annotation %s is %v, want %v", key, got, want)
		}
	}
	if when, ok := m.Annotations["iothub-enqueuedtime"].(time.Time); !ok || when.UnixMilli() != 1700000000000 {
		t.Errorf("enqueued time %v", m.Annotations["iothub-enqueuedtime"])
	}
	if m.Properties.MessageID != "m1" || m.Properties.CorrelationID != "c1" || *m.Properties.To != "/t" ||
		string(m.Properties.UserID) != "u" || *m.Properties.ContentType != "application/json" ||
		m.Properties.AbsoluteExpiryTime.Year() != 2030 {
		t.Errorf("properties %+v", m.Properties)
	}
	if len(m.ApplicationProperties) != 2 || m.ApplicationProperties["a"] != "b" ||
		m.ApplicationProperties["iothub-message-schema"] != "s" {
		t.Errorf("application properties %v", m.ApplicationProperties)
	}
	if string(m.GetData()) != "body" || len(m.DeliveryTag) != 16 || m.DeliveryTag[0] != 0x33 {
		t.Errorf("body %q, tag % x", m.GetData(), m.DeliveryTag)
	}
}

func TestAnInputMessageWithoutOutcomeIsLostAfterTheTimeout(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{AckTimeout: 300 * time.Millisecond}), gatewayToken)
	in := p.receiver(gatewayEvents, nil)
	outcome := offer(h, gateway, edge.Message{Input: "in"})
	m, err := in.Receive(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o := next(t, outcome); o != edge.Lost {
		t.Errorf("outcome %v", o)
	}
	// A late word changes nothing, and the next message comes.
	if err := in.AcceptMessage(bounded(t), m); err != nil {
		t.Fatal(err)
	}
	outcome = offer(h, gateway, edge.Message{Input: "in"})
	p.receive(in)
	if o := next(t, outcome); o != edge.Accepted {
		t.Errorf("outcome %v", o)
	}
}

func TestAnInputMessageIsLostWithItsLinkOrWithoutOne(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	p.sender(gatewayEvents, nil)
	if o := next(t, offer(h, gateway, edge.Message{Input: "in"})); o != edge.Lost {
		t.Errorf("without a link: %v", o)
	}
	in := p.receiver(gatewayEvents, &amqp.ReceiverOptions{Credit: -1})
	outcome := offer(h, gateway, edge.Message{Input: "in"})
	if err := in.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if o := next(t, outcome); o != edge.Lost {
		t.Errorf("with a closed link: %v", o)
	}
	eventually(t, "unsubscribed", func() bool { return !h.subscribed(gateway, edge.TopicInputs) })
}

func TestALeafDeviceGetsMessagesFromTheCloudInTwoPhases(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), "token:leaf 1")
	leaf := edge.Identity{Device: "leaf 1"}
	in := p.receiver("/devices/leaf%201/messages/devicebound", nil)
	if !h.subscribed(leaf, edge.TopicC2D) {
		t.Error("not subscribed")
	}
	outcome := offer(h, leaf, edge.Message{Body: []byte("do it")})
	m := p.receive(in)
	if string(m.GetData()) != "do it" || *m.Properties.To != "/devices/leaf%201" {
		t.Errorf("message %+v", m)
	}
	if o := next(t, outcome); o != edge.Accepted {
		t.Errorf("outcome %v", o)
	}
}

// twinPair opens the gateway's twin links.
func twinPair(p *peer, address string) (*amqp.Sender, *amqp.Receiver) {
	return p.sender(address, &amqp.SenderOptions{Properties: pairOf("twin:7")}),
		p.receiver(address, &amqp.ReceiverOptions{Properties: pairOf("twin:7")})
}

func TestTwinOperationsHaveTheirStatus(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken, "token:broken")
	ask, answers := twinPair(p, gatewayTwin)
	brokenAsk, brokenAnswers := twinPair(p, "/devices/broken/twin")
	uuid := amqp.UUID{0xab, 1}
	cases := []struct {
		name, operation, body string
		correlation           any
		broken                bool
		status                int32
	}{
		{"get", "GET", " ", "Get1", false, 200},
		{"get of a hub in trouble", "GET", " ", "Get2", true, 500},
		{"patch", "PATCH", `{"a":1}`, "Patch1", false, 204},
		{"patch that breaks the rules", "PATCH", `{"bad":1}`, "Patch2", false, 400},
		{"patch that is no JSON", "PATCH", `{`, "Patch3", false, 500},
		{"unsubscribe", "DELETE", " ", "Delete1", false, 200},
		{"subscribe", "PUT", " ", uuid, false, 200},
	}
	for _, c := range cases {
		m := amqp.NewMessage([]byte(c.body))
		m.Annotations = amqp.Annotations{"operation": c.operation, "resource": "/properties/reported"}
		m.Properties = &amqp.MessageProperties{CorrelationID: c.correlation}
		to, from := ask, answers
		if c.broken {
			to, from = brokenAsk, brokenAnswers
		}
		if err := to.Send(bounded(t), m, nil); err != nil {
			t.Fatal(err)
		}
		reply := p.receive(from)
		want := c.correlation
		if want == uuid {
			want = "ab010000-0000-0000-0000-000000000000"
		}
		if reply.Annotations["status"] != c.status || reply.Properties.CorrelationID != want {
			t.Errorf("%s: status %v, correlation %v", c.name, reply.Annotations["status"], reply.Properties.CorrelationID)
		}
		if hasBody := len(reply.GetData()) > 0; hasBody != (c.operation == "GET" && c.status == 200) || len(reply.Data) != 1 {
			t.Errorf("%s: body %q", c.name, reply.GetData())
		}
		if subscribed := h.subscribed(gateway, edge.TopicDesired); subscribed != (c.operation != "DELETE") {
			t.Errorf("%s: subscribed to desired: %t", c.name, subscribed)
		}
	}
	if len(h.patches) != 1 || h.patches[0] != `{"a":1}` {
		t.Errorf("patches %q", h.patches)
	}
}

func TestTwinRequestsOfNoSenseAreLost(t *testing.T) {
	p := login(t, serve(t, newHub(), amqphead.Options{}), gatewayToken)
	ask, answers := twinPair(p, gatewayTwin)
	bad := []*amqp.Message{
		amqp.NewMessage([]byte(" ")),
		{Annotations: amqp.Annotations{"operation": "GET"}, Data: [][]byte{{}}},
		{Annotations: amqp.Annotations{"operation": "POST"}, Properties: &amqp.MessageProperties{CorrelationID: "x"}},
		{Properties: &amqp.MessageProperties{CorrelationID: "x"}},
		{Annotations: amqp.Annotations{"operation": "GET"}, Properties: &amqp.MessageProperties{CorrelationID: "good"}},
	}
	for _, m := range bad {
		if err := ask.Send(bounded(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if m := p.receive(answers); m.Properties.CorrelationID != "good" {
		t.Errorf("%v was answered", m.Properties.CorrelationID)
	}
}

func TestMethodAnswersAreMatchedByTextAndNeedAnInt(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	respond := p.sender(gatewayMethods, &amqp.SenderOptions{Properties: pairOf("methods:1")})
	calls := p.receiver(gatewayMethods, &amqp.ReceiverOptions{Properties: pairOf("methods:1")})
	h.session(gateway).Method(edge.MethodCall{Correlation: "c", Name: "ping"})
	if call := p.receive(calls); len(call.Data) != 1 || len(call.GetData()) != 0 {
		t.Errorf("a call without payload has the body %q", call.Data)
	}
	cases := []struct {
		correlation, status any
		body                string
		want                answer
	}{
		{"abc", int32(200), `{"ok":true}`, answer{"abc", 200, `{"ok":true}`}},
		{"ABC", int32(-1), "", answer{"abc", -1, ""}},
		{amqp.UUID{0xff}, int32(404), "null", answer{"ff000000-0000-0000-0000-000000000000", 404, "null"}},
		{"long", int64(200), `{"ok":true}`, answer{"long", 400000, ""}},
		{"text", "200", `1`, answer{"text", 400000, ""}},
		{"missing", nil, `1`, answer{"missing", 400000, ""}},
	}
	for _, c := range cases {
		m := amqp.NewMessage([]byte(c.body))
		m.Properties = &amqp.MessageProperties{CorrelationID: c.correlation}
		m.ApplicationProperties = map[string]any{"IoThub-status": c.status}
		if err := respond.Send(bounded(t), m, nil); err != nil {
			t.Fatal(err)
		}
		if got := next(t, h.answers); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}

func TestAPairsOtherHalfIsClosedWhenTheCorrelationDiffers(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	p.sender(gatewayEvents, nil)
	p.sender(gatewayTwin, &amqp.SenderOptions{Properties: pairOf("twin:1")})
	// The words before the colon do not count.
	answers := p.receiver(gatewayTwin, &amqp.ReceiverOptions{Properties: pairOf("other words:1")})
	h.session(gateway).Desired(json.RawMessage(`{}`))
	p.receive(answers)
	// Another id on the sending half closes the receiving one.
	p.receiver(gatewayMethods, &amqp.ReceiverOptions{Properties: pairOf("methods:1")})
	p.sender(gatewayMethods, &amqp.SenderOptions{Properties: pairOf("methods:2")})
	eventually(t, "methods unsubscribed", func() bool { return !h.subscribed(gateway, edge.TopicMethods) })
	// Without properties the attach fails once there is a sibling. In a session of its
	// own: go-amqp takes the closed link's handle again before it has said detach.
	s, err := p.conn.NewSession(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.NewReceiver(bounded(t), gatewayMethods, nil)
	detachedWith(t, err, amqp.ErrCondInternalError, "no properties")
}

func TestAReplacedLinkTakesTheOnlyOneOutOfTheRegister(t *testing.T) {
	p := login(t, serve(t, newHub(), amqphead.Options{}), gatewayToken)
	first := p.sender(gatewayEvents, nil)
	if _, err := p.session.NewSender(bounded(t), gatewayEvents, nil); err != nil {
		t.Logf("second: %v", err) // the close may be faster
	}
	_ = p.closed()
	_ = first
}
