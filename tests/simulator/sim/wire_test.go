package sim_test

import (
	"strings"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// pair attaches the two links of twin or methods.
func pair(t *testing.T, session *amqp.Session, address, kind string) (*amqp.Sender, *amqp.Receiver) {
	t.Helper()
	properties := map[string]any{"com.microsoft:channel-correlation-id": kind + ":1", "com.microsoft:api-version": "2020-09-30"}
	receiver, err := session.NewReceiver(t.Context(), address, &amqp.ReceiverOptions{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := session.NewSender(t.Context(), address, &amqp.SenderOptions{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	return sender, receiver
}

func receive(t *testing.T, r *amqp.Receiver) *amqp.Message {
	t.Helper()
	m, err := r.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AcceptMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTwinOnTheWire(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	sender, receiver := pair(t, connect(t, e, "m"), "/devices/edge/modules/m/twin", "twin")
	ask := func(operation, body string) *amqp.Message {
		m := amqp.NewMessage([]byte(body))
		m.Properties = &amqp.MessageProperties{CorrelationID: operation}
		m.Annotations = amqp.Annotations{"operation": operation, "resource": "/properties/reported"}
		if err := sender.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		answer := receive(t, receiver)
		if answer.Properties == nil || answer.Properties.CorrelationID != operation {
			t.Fatalf("answer of %s: %+v", operation, answer.Properties)
		}
		return answer
	}
	if got := ask("PATCH", `{"x":1}`); got.Annotations["status"] != int32(204) {
		t.Fatalf("patch: %v", got.Annotations)
	}
	if got := ask("PATCH", `{"x y":1}`); got.Annotations["status"] != int32(400) {
		t.Fatalf("bad patch: %v", got.Annotations)
	}
	if got := ask("GET", ""); got.Annotations["status"] != int32(200) || !strings.Contains(string(got.GetData()), `"x":1`) {
		t.Fatalf("get: %v %s", got.Annotations, got.GetData())
	}
	if status, body := request(t, e, "PATCH", "/twins/edge/modules/m", `{"properties":{"desired":{"a":1}}}`); status != 200 {
		t.Fatal(body)
	}
	if got := receive(t, receiver); string(got.GetData()) != `{"$version":2,"a":1}` {
		t.Fatalf("desired: %s", got.GetData())
	}
}

func TestMethodsOnTheWire(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	sender, receiver := pair(t, connect(t, e, "m"), "/devices/edge/modules/m/methods/devicebound", "methods")
	done := make(chan string, 1)
	go func() {
		_, body := request(t, e, "POST", "/twins/edge/modules/m/methods", `{"methodName":"ping","payload":{"a":1}}`)
		done <- strings.TrimSpace(body)
	}()
	call := receive(t, receiver)
	if call.ApplicationProperties["IoThub-methodname"] != "ping" || string(call.GetData()) != `{"a":1}` {
		t.Fatalf("got %+v %s", call.ApplicationProperties, call.GetData())
	}
	answer := amqp.NewMessage([]byte(`"pong"`))
	answer.Properties = &amqp.MessageProperties{CorrelationID: call.Properties.CorrelationID}
	answer.ApplicationProperties = map[string]any{"IoThub-status": int32(200)}
	if err := sender.Send(t.Context(), answer, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != `{"status":200,"payload":"pong"}` {
		t.Fatalf("got %s", got)
	}
}

func TestInputsOnTheWire(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	receiver, err := connect(t, e, "m").NewReceiver(t.Context(), "/devices/edge/modules/m/messages/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"1", "2"} {
		if status, text := request(t, e, "POST", "/inputs/m/commands?a=b", body); status != 200 {
			t.Fatal(text)
		}
	}
	for _, want := range []string{"1", "2"} {
		m := receive(t, receiver)
		if string(m.GetData()) != want || m.Annotations["x-opt-input-name"] != "commands" || m.ApplicationProperties["a"] != "b" {
			t.Fatalf("got %s %v %v", m.GetData(), m.Annotations, m.ApplicationProperties)
		}
	}
}
