package mqtthead

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const inputsFilter = "devices/edge/modules/gw/inputs/#"

func (p *peer) puback(id uint16) {
	p.t.Helper()
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback, Remaining: 2}, PacketID: id})
}

func TestInputsComeOneByOneAndAgainUntilAcknowledged(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{AckTimeout: 100 * time.Millisecond})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.subscribe(1, inputsFilter)
	for i := range 2 {
		m := edge.Message{
			Body: fmt.Append(nil, i), Properties: map[string]string{"a b": "c&d"}, System: map[string]string{"messageId": "7"},
		}
		if err := h.InjectInput("gw", "in", m); err != nil {
			t.Fatal(err)
		}
	}
	const topic = "devices/edge/modules/gw/inputs/in/%24.mid=7&%24.cdid=edge&%24.cmid=simulator&a%20b=c%26d"
	first := p.next(packets.Publish)
	again := p.next(packets.Publish)
	if first.TopicName != topic || string(first.Payload) != "0" || first.FixedHeader.Qos != 1 {
		t.Errorf("%s %s", first.TopicName, first.Payload)
	}
	if string(again.Payload) != "0" || again.PacketID == first.PacketID {
		t.Errorf("again: %s with id %d", again.Payload, again.PacketID)
	}
	p.puback(again.PacketID)
	last := p.next(packets.Publish)
	if string(last.Payload) != "1" {
		t.Errorf("last: %s", last.Payload)
	}
	p.puback(last.PacketID)
	p.puback(9999) // which waits for nothing
	if err := h.InjectInput("gw", "in", edge.Message{Body: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	if got := p.next(packets.Publish); string(got.Payload) != "2" {
		t.Errorf("after the last: %s", got.Payload)
	}
}

func TestWhatWasThereBeforeTheSubscriptionIsLost(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	if err := h.InjectInput("gw", "in", edge.Message{Body: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	p := enter(t, addr, h, gateway, true)
	p.subscribe(0, inputsFilter)
	if err := h.InjectInput("gw", "in", edge.Message{Body: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if got := p.next(packets.Publish); string(got.Payload) != "new" || got.FixedHeader.Qos != 0 {
		t.Errorf("%s", got.Payload)
	}
}

func TestALeafDeviceHearsFromTheCloud(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, leaf, true)
	p.subscribe(1, "devices/leaf/messages/devicebound/#")
	if err := h.InjectCloudToDevice("leaf", edge.Message{Body: []byte("hi"), Properties: map[string]string{"a": "1"}}); err != nil {
		t.Fatal(err)
	}
	got := p.next(packets.Publish)
	if got.TopicName != "devices/leaf/messages/devicebound/a=1" || string(got.Payload) != "hi" {
		t.Errorf("%s %s", got.TopicName, got.Payload)
	}
}

func TestDesiredPatchesCarryTheirVersion(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.listen(0, "$iothub/twin/PATCH/properties/desired/#")
	patch := func(n int) {
		if _, err := h.PatchTwin(t.Context(), gateway, edge.TwinPatch{Desired: map[string]any{"n": json.Number(fmt.Sprint(n))}}); err != nil {
			t.Fatal(err)
		}
	}
	patch(5)
	got := p.next(packets.Publish)
	if got.TopicName != "$iothub/twin/PATCH/properties/desired/?$version=2" || string(got.Payload) != `{"$version":2,"n":5}` {
		t.Errorf("%s %s", got.TopicName, got.Payload)
	}
	p.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 3,
		Filters: packets.Subscriptions{{Filter: "$iothub/twin/PATCH/properties/desired/#"}},
	})
	p.next(packets.Unsuback)
	if h.Subscribed(gateway, edge.TopicDesired) {
		t.Error("still subscribed")
	}
}

func TestMethodsAreAnsweredByTheirRequestID(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.listen(0, "$iothub/methods/POST/#")
	type answered struct {
		result edge.MethodResult
		err    error
	}
	answers := make(chan answered, 1)
	go func() {
		r, err := h.Invoke(t.Context(), gateway, edge.MethodRequest{Name: "do it", Payload: []byte(`[1]`)})
		answers <- answered{r, err}
	}()
	got := p.next(packets.Publish)
	rid, ok := strings.CutPrefix(got.TopicName, "$iothub/methods/POST/do%20it/?$rid=")
	if !ok || string(got.Payload) != "[1]" {
		t.Fatalf("%s %s", got.TopicName, got.Payload)
	}
	p.publish("$iothub/methods/res/201/?$rid="+rid, `"done"`, 1, 5)
	p.next(packets.Puback)
	if a := <-answers; a.err != nil || a.result.Status != 201 || string(a.result.Payload) != `"done"` {
		t.Errorf("%+v", a)
	}
}

func TestAtMostSixteenAreUnacknowledged(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.listen(1, "$iothub/twin/PATCH/properties/desired/#")
	for n := range maxInFlight + 3 {
		if _, err := h.PatchTwin(t.Context(), gateway, edge.TwinPatch{Desired: map[string]any{"n": json.Number(fmt.Sprint(n))}}); err != nil {
			t.Fatal(err)
		}
	}
	var first uint16
	for n := range maxInFlight {
		if got := p.next(packets.Publish); n == 0 {
			first = got.PacketID
		}
	}
	// The ping is answered and nothing else came before.
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	p.next(packets.Pingresp)
	p.puback(first)
	if got := p.next(packets.Publish); !strings.HasSuffix(got.TopicName, fmt.Sprintf("$version=%d", maxInFlight+2)) {
		t.Errorf("%s", got.TopicName)
	}
}
