package amqphead_test

import (
	"encoding/json"
	"testing"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestAModulePublishesABatch(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)

	events := p.sender(gatewayEvents, nil)
	batch := &amqp.Message{Format: 0x80013700}
	for _, body := range []string{"one", "two"} {
		member := &amqp.Message{
			Properties: &amqp.MessageProperties{MessageID: "id-" + body},
			ApplicationProperties: map[string]any{
				"iothub-outputname": "telemetry", "kind": body, "number": int32(1),
			},
			Data: [][]byte{[]byte(body)},
		}
		data, err := member.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		batch.Data = append(batch.Data, data)
	}
	if err := events.Send(bounded(t), batch, nil); err != nil {
		t.Fatal(err)
	}
	got := h.messages()
	if len(got) != 2 || string(got[1].Body) != "two" || got[1].From != gateway || got[1].Output != "telemetry" ||
		got[1].System["messageId"] != "id-two" || len(got[1].Properties) != 1 || got[1].Properties["kind"] != "two" {
		t.Fatalf("stored %+v", got)
	}
}

func TestAModuleGetsItsTwinAndThePatchesOfIt(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	ask := p.sender(gatewayTwin, &amqp.SenderOptions{
		Properties: pairOf("twin:1"), SettlementMode: amqp.SenderSettleModeSettled.Ptr(),
	})
	twin := p.receiver(gatewayTwin, &amqp.ReceiverOptions{Properties: pairOf("twin:1")})
	if !h.subscribed(gateway, edge.TopicDesired) {
		t.Error("the twin receiver did not subscribe")
	}
	get := amqp.NewMessage([]byte(" "))
	get.Annotations = amqp.Annotations{"operation": "GET"}
	get.Properties = &amqp.MessageProperties{CorrelationID: "Get1"}
	if err := ask.Send(bounded(t), get, nil); err != nil {
		t.Fatal(err)
	}
	answer := p.receive(twin)
	var document struct{ Desired map[string]int }
	if err := json.Unmarshal(answer.GetData(), &document); err != nil || document.Desired["$version"] != 3 ||
		answer.Annotations["status"] != int32(200) || answer.Properties.CorrelationID != "Get1" {
		t.Fatalf("twin %s %v", answer.GetData(), err)
	}
	h.session(gateway).Desired(json.RawMessage(`{"a":2,"$version":4}`))
	patch := p.receive(twin)
	if patch.Properties != nil && patch.Properties.CorrelationID != nil || patch.Annotations["status"] != nil {
		t.Errorf("the patch looks like an answer: %+v", patch)
	}
}

func TestAModuleAnswersAMethod(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	respond := p.sender(gatewayMethods, &amqp.SenderOptions{Properties: pairOf("methods:1")})
	calls := p.receiver(gatewayMethods, &amqp.ReceiverOptions{Properties: pairOf("methods:1")})
	const id = "0d3a6c47-5dd2-4b44-9c3c-b4cbb9b0d2a7"
	h.session(gateway).Method(edge.MethodCall{Correlation: id, Name: "ping", Payload: json.RawMessage(`{"x":1}`)})
	call := p.receive(calls)
	if call.ApplicationProperties["IoThub-methodname"] != "ping" || call.Properties.CorrelationID != id ||
		string(call.GetData()) != `{"x":1}` {
		t.Fatalf("call %+v", call)
	}
	result := amqp.NewMessage([]byte(`"pong"`))
	result.Properties = &amqp.MessageProperties{CorrelationID: call.Properties.CorrelationID}
	result.ApplicationProperties = map[string]any{"IoThub-status": int32(200)}
	if err := respond.Send(bounded(t), result, nil); err != nil {
		t.Fatal(err)
	}
	if a := next(t, h.answers); a.correlation != id || a.status != 200 || a.payload != `"pong"` {
		t.Fatalf("answer %+v", a)
	}
}
