package hub

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// ended takes the end of the subscription to methods.
func (p *mqttPeer) ended() {
	p.t.Helper()
	s := next[*packets.UnsubscribePacket](p)
	if len(s.Topics) != 1 || s.Topics[0] != "$iothub/methods/POST/#" {
		p.t.Errorf("UNSUBSCRIBE %q", s.Topics)
	}
	p.write(&packets.UnsubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Unsuback}, MessageID: s.MessageID})
}

func TestATokenIsRenewedByANewConnectionThatLosesNothing(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec, r, u := newRecorder(), new(receipts), NewUplink(UplinkOptions{})
	opts := h.options(rec, rec)
	numbered(t, u, r, "0")
	opts.TokenTTL = 3 * time.Second
	h.run(opts, u)
	p := h.login()
	if err := heard(t, rec.changes); err != nil {
		t.Fatal(err)
	}
	before := string(p.connect.Password)
	last := next[*packets.PublishPacket](p)
	p.ended()
	p.silent() // it is left when all is acknowledged
	p.puback(last.MessageID)
	next[*packets.DisconnectPacket](p)
	p = h.login()
	heard(t, rec.renewed)
	if string(p.connect.Password) == before {
		t.Error("the token is the old one")
	}
	if len(rec.changes) > 0 {
		t.Errorf("told %v", <-rec.changes)
	}
	numbered(t, u, r, "1")
	m := next[*packets.PublishPacket](p)
	if string(m.Payload) != "1" {
		t.Errorf("after the renewal: %s", m)
	}
	p.puback(m.MessageID)
	settled(t, u, r)
}

func TestAMethodThatComesWhenATokenIsRenewedIsAnswered(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec, release := newRecorder(), make(chan struct{})
	rec.method = func(ctx context.Context, name string, _ json.RawMessage) (int, json.RawMessage) {
		if name == "late" {
			<-release
		}
		return 200, json.RawMessage(`"` + name + `"`)
	}
	opts := h.options(rec, rec)
	opts.TokenTTL = 4 * time.Second
	h.run(opts, NewUplink(UplinkOptions{}))
	p := h.login()
	s := next[*packets.UnsubscribePacket](p)
	p.publish("$iothub/methods/POST/late/?$rid=1", "0", 0) // it was under way
	p.write(&packets.UnsubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Unsuback}, MessageID: s.MessageID})
	p.silent()
	close(release)
	if m := next[*packets.PublishPacket](p); m.TopicName != "$iothub/methods/res/200/?$rid=1" || string(m.Payload) != `"late"` {
		t.Errorf("answered %s", m)
	}
	next[*packets.DisconnectPacket](p)
	p = h.login()
	p.publish("$iothub/methods/POST/next/?$rid=2", "0", 0)
	if m := next[*packets.PublishPacket](p); m.TopicName != "$iothub/methods/res/200/?$rid=2" {
		t.Errorf("answered %s", m)
	}
}

func TestAHubThatKeepsTheSubscriptionIsLeftAllTheSame(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	opts := h.options(newRecorder(), nil)
	opts.TokenTTL = 3 * time.Second
	h.run(opts, NewUplink(UplinkOptions{}))
	p := h.login()
	next[*packets.UnsubscribePacket](p)
	next[*packets.DisconnectPacket](p)
	h.login()
}
