package mqtthead

import (
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const events = "devices/edge/modules/gw/messages/events/"

// upstream waits for n messages in the cloud.
func upstream(t *testing.T, h *edge.Hub, n int) []edge.Upstream {
	t.Helper()
	var all []edge.Upstream
	for len(all) < n {
		more := h.Messages(t.Context(), uint64(len(all)), n, 10*time.Second)
		if len(more) == 0 {
			t.Fatalf("%d messages, want %d", len(all), n)
		}
		all = append(all, more...)
	}
	return all
}

func TestTelemetryArrivesWithItsProperties(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.publish(events+"%24.on=out&%24.ct=application%2Fjson&%24.ce=utf-8&a%20b=c%2Bd+e/", `{"x":1}`, 1, 9)
	if got := p.next(packets.Puback); got.PacketID != 9 {
		t.Errorf("PUBACK of %d", got.PacketID)
	}
	m := upstream(t, h, 1)[0]
	if m.Source != "/messages/modules/gw/outputs/out" || string(m.Message.Body) != `{"x":1}` ||
		!maps.Equal(m.Message.Properties, map[string]string{"a b": "c+d+e"}) ||
		m.Message.System["contentType"] != "application/json" || m.Message.From != gateway {
		t.Errorf("%+v", m)
	}
	p.publish(events, "second", 0, 0)
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	p.over()
	if m := upstream(t, h, 2)[1]; string(m.Message.Body) != "second" {
		t.Errorf("%+v", m)
	}
}

func TestMistakesAreSwallowedUnlessTheHeadIsStrict(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	var swallowed atomic.Int32
	addr, _ := serve(t, h, Options{Swallowed: func(edge.Identity, error) { swallowed.Add(1) }})
	strict, _ := serve(t, h, Options{Strict: true})
	mistakes := []struct{ topic, body string }{
		{"devices/edge/modules/gw/messages/event/", ""},
		{events + "a=1=2", ""},
		{events + "%24.mid=1&%24.mid=2", ""},
		{events + "A=1&a=2", ""},
	}
	p := enter(t, addr, h, gateway, true)
	for i, m := range mistakes {
		p.publish(m.topic, m.body, 1, uint16(i+1))
		p.next(packets.Puback)
	}
	if n := swallowed.Load(); int(n) != len(mistakes) {
		t.Errorf("%d were swallowed", n)
	}
	// The ids of the topic count, not who is connected.
	p.publish("devices/leaf/messages/events/", "forged", 1, 100)
	p.next(packets.Puback)
	if m := upstream(t, h, 1)[0]; m.Message.From != leaf {
		t.Errorf("from %s", m.Message.From)
	}
	mistakes = append(mistakes, struct{ topic, body string }{"devices/leaf/messages/events/", "forged"})
	for _, m := range mistakes {
		p := enter(t, strict, h, gateway, true)
		p.publish(m.topic, m.body, 1, 1)
		p.over()
	}
	if n := h.Stats().Sequence; n != 1 {
		t.Errorf("%d messages were stored", n)
	}
}

func TestFaultsStandInForAcknowledgements(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	fault := func(f edge.Fault) {
		if err := h.AddFault(edge.FaultRule{Fault: f}); err != nil {
			t.Fatal(err)
		}
	}
	p := enter(t, addr, h, gateway, true)
	fault(edge.Fault{Withhold: true})
	p.publish(events, "withheld", 1, 1)
	fault(edge.Fault{Delay: 50 * time.Millisecond})
	start := time.Now()
	p.publish(events, "late", 1, 2)
	if got := p.next(packets.Puback); got.PacketID != 2 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("PUBACK of %d after %v", got.PacketID, time.Since(start))
	}
	fault(edge.Fault{Drop: true})
	p.publish(events, "dropped", 1, 3)
	p.over()
	p = enter(t, addr, h, gateway, true)
	fault(edge.Fault{Refuse: &edge.Refusal{Condition: edge.ConditionThrottled}})
	p.publish(events, "refused", 1, 4)
	p.over()
	bodies := ""
	for _, m := range upstream(t, h, 3) {
		bodies += string(m.Message.Body) + " "
	}
	if bodies != "withheld late dropped " || h.Stats().Sequence != 3 {
		t.Errorf("stored: %s", bodies)
	}
}

func TestTwinRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.publish("$iothub/twin/GET/?$rid=0", "", 0, 0) // nobody listens yet
	p.subscribe(0, "$iothub/twin/res/#")
	cases := []struct{ topic, body, want string }{
		{"$iothub/twin/PATCH/properties/reported/?$rid=1", `{"a":1}`, "$iothub/twin/res/204/?$rid=1"},
		{"$iothub/twin/PATCH/properties/reported/?$rid=2", `{"a b":1}`, "$iothub/twin/res/400/?$rid=2"},
		{"$iothub/twin/GET/?$rid=3", " ", "$iothub/twin/res/200/?$rid=3"},
	}
	for _, c := range cases {
		p.publish(c.topic, c.body, 0, 0)
		got := p.next(packets.Publish)
		if got.TopicName != c.want || strings.Contains(c.topic, "GET") != strings.Contains(string(got.Payload), `"a":1`) {
			t.Errorf("%s: %s %s", c.topic, got.TopicName, got.Payload)
		}
	}
	p.publish("$iothub/twin/POST/?$rid=4", "", 0, 0)
	p.over()
}

func TestTwinRequestsBeyondTheRateAreThrottled(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	h := newHub(t, edge.Options{Admission: edge.Admission{Twins: 1, Refuse: true}, Now: func() time.Time { return clock }})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.subscribe(0, "$iothub/twin/res/#")
	for _, c := range []struct{ topic, want string }{
		{"$iothub/twin/GET/?$rid=1", "$iothub/twin/res/200/?$rid=1"},
		{"$iothub/twin/GET/?$rid=2", "$iothub/twin/res/429/?$rid=2"},
		{"$iothub/twin/PATCH/properties/reported/?$rid=3", "$iothub/twin/res/429/?$rid=3"},
	} {
		p.publish(c.topic, "{}", 0, 0)
		if got := p.next(packets.Publish); got.TopicName != c.want || strings.Contains(c.want, "429") && len(got.Payload) > 0 {
			t.Errorf("%s: %s %s", c.topic, got.TopicName, got.Payload)
		}
	}
}

func TestTheWillIsStoredWhenAConnectionBreaks(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, s := serve(t, h, Options{})
	params := credentials(t, h, gateway)
	params.WillFlag, params.WillTopic, params.WillPayload, params.Clean = true, events+"%24.on=w", []byte("gone"), true
	p := dial(t, addr)
	p.login(params)
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	p.over()
	p = dial(t, addr)
	p.login(params)
	_ = p.conn.Close()
	m := upstream(t, h, 1)[0].Message
	if string(m.Body) != "gone" || m.Properties["MessageType"] != "Will" || m.Output != "w" {
		t.Errorf("%+v", m)
	}
	if err := s.Close(); err != nil || h.Stats().Sequence != 1 {
		t.Errorf("a goodbye left a will: %v", err)
	}
	if err := s.ServeConn(t.Context(), p.conn); !errors.Is(err, errClosed) {
		t.Errorf("served after Close: %v", err)
	}
}
