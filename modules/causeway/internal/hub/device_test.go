package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// A gateway that IoT Hub knows as a device, by the key of a policy.
func TestADeviceLogsInUnderItsOwnIDAndAsksForNoInputs(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r := newRecorder()
	opts := h.options(r, r)
	opts.Identity = Identity{HubName: "h.azure-devices.net:8883", Gateway: opts.Identity.Gateway, Device: "gate way"}
	opts.Credential.Policy = "device"
	u := NewUplink(UplinkOptions{Device: true})
	mustSend(t, u, "x")
	h.run(opts, u)
	p := h.accept()
	c := p.connect
	user := "h.azure-devices.net/gate way/?api-version=2020-09-30&DeviceClientType=causeway%2F1%202"
	token := string(c.Password)
	if c.ClientIdentifier != "gate way" || c.Username != user || !strings.HasSuffix(token, "&skn=device") ||
		!strings.HasPrefix(token, "SharedAccessSignature sr=h.azure-devices.net%2Fdevices%2Fgate%2520way&") {
		t.Errorf("CONNECT %s, token %s", c, token)
	}
	p.connack(packets.Accepted)
	s := next[*packets.SubscribePacket](p)
	want := []string{"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#"}
	if !slices.Equal(s.Topics, want) || !slices.Equal(s.Qoss, []byte{0, 0, 0}) {
		t.Errorf("SUBSCRIBE %q %v", s.Topics, s.Qoss)
	}
	p.suback(s, s.Qoss...)
	if err := heard(t, r.changes); err != nil {
		t.Fatal(err)
	}
	m := next[*packets.PublishPacket](p)
	if !strings.HasPrefix(m.TopicName, "devices/gate%20way/messages/events/output=telemetry&") {
		t.Errorf("publish to %s", m.TopicName)
	}
	p.publish("$iothub/twin/PATCH/properties/desired/?$version=2", "{}", 0)
	if got := heard(t, r.patches); got != "{}" {
		t.Errorf("patch %s", got)
	}
}

// Over both protocols; a property of that name would be a second output.
func TestADevicesOutputIsAProperty(t *testing.T) {
	t.Parallel()
	m := telemetry("x")
	m.Properties = []message.Property{{Name: "Output", Value: "mine"}, {Name: "kind", Value: "alarm"}}
	for _, module := range []string{"", "m"} {
		id, u := Identity{Device: "d", Module: module}, NewUplink(UplinkOptions{Device: module == ""})
		encoded := u.encoder.appendMessage(nil, m, message.Hash(m.Device))
		back, err := readMessage(encoded)
		if err != nil {
			t.Fatal(err)
		}
		kept := "[{Output mine} {kind alarm}]"
		if module == "" {
			kept = "[{kind alarm}]"
		}
		if back.Output != "telemetry" || fmt.Sprint(back.Properties) != kept {
			t.Errorf("module %q: output %q, properties %v", module, back.Output, back.Properties)
		}
		asOutput := strings.Contains(string(encoded), propertyOutput)
		topic := id.eventsTopic(m) // of a message that another life may have written to disk
		if asOutput != (module != "") || strings.Contains(topic, "%24.on=telemetry") != asOutput ||
			strings.Contains(topic, "output=telemetry") == asOutput || strings.Contains(topic, "Output=mine") != asOutput {
			t.Errorf("module %q: encoded as %q, topic %s", module, encoded, topic)
		}
	}
}

// What many devices have in common is remembered of each, though the identity is a device's.
func TestADeviceThatSendsForOthersRemembersTheirHeads(t *testing.T) {
	u := NewUplink(UplinkOptions{Device: true})
	a, b := of("a", 1), of("b", 1)
	for _, m := range []*message.Message{&a, &b} {
		u.encoder.appendMessage(nil, m, message.Hash(m.Device))
	}
	if len(u.encoder.heads) != heads {
		t.Errorf("room for %d heads", len(u.encoder.heads))
	}
}
