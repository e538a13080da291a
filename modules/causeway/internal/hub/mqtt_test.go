package hub

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// bodies are the decimal numbers below n.
func bodies(n int) (list []string) {
	for i := range n {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

func TestALoginSaysWhoComesAndAsksForACleanSession(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	h.run(h.options(newRecorder(), nil), NewUplink(UplinkOptions{}))
	p := h.accept()
	c := p.connect
	user := "h.azure-devices.net/edge 1/cause+way/?api-version=2020-09-30&DeviceClientType=causeway%2F1%202"
	if c.ClientIdentifier != "edge 1/cause+way" || c.Username != user || !c.CleanSession || c.ProtocolVersion != 4 ||
		c.Keepalive != 30 || !strings.HasPrefix(string(c.Password), "SharedAccessSignature sr=") {
		t.Errorf("CONNECT %s", c)
	}
	p.connack(packets.Accepted)
	s := next[*packets.SubscribePacket](p)
	if want, qualities := testIdentity("").filters(); !slices.Equal(s.Topics, want) || !slices.Equal(s.Qoss, qualities) {
		t.Errorf("SUBSCRIBE %q %v", s.Topics, s.Qoss)
	}
}

func TestWhatIsRefusedAtLoginIsTold(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r := newRecorder()
	h.run(h.options(r, r), NewUplink(UplinkOptions{}))
	p := h.accept()
	p.connack(packets.ErrRefusedServerUnavailable)
	if err := heard(t, r.changes); err == nil || !strings.Contains(err.Error(), "return code 3") || denied(err) {
		t.Errorf("told %v", err)
	}
	p = h.accept()
	p.connack(packets.Accepted)
	p.suback(next[*packets.SubscribePacket](p), 0, 0x80, 0, 1)
	if err := heard(t, r.changes); err == nil || !strings.Contains(err.Error(), "desired/#: refused") {
		t.Errorf("told %v", err)
	}
	p = h.accept()
	p.connack(packets.Accepted)
	p.suback(next[*packets.SubscribePacket](p), 0, 0, 0, 0) // what comes to an input could be lost
	if err := heard(t, r.changes); err == nil || !strings.Contains(err.Error(), "inputs/#: got quality 0, asked for 1") {
		t.Errorf("told %v", err)
	}
	h.accept().connack(packets.ErrRefusedNotAuthorised)
	if err := heard(t, r.changes); !denied(err) {
		t.Errorf("told %v", err)
	}
}

func TestACertificateThatIsNotTrustedIsNeverTalkedTo(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	broken := errors.New("no bundle")
	for _, protocol := range []Protocol{AMQP, AMQPWebSocket, MQTT, MQTTWebSocket} {
		opts := h.options(newRecorder(), nil)
		opts.Protocol = protocol
		go func() { // answers the handshake
			if conn, err := h.l.Accept(); err == nil {
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
		}()
		opts.Roots = func(context.Context) (*x509.CertPool, error) { return x509.NewCertPool(), nil }
		_, err := New(opts, NewUplink(UplinkOptions{})).connect(t.Context())
		if unknown := new(x509.UnknownAuthorityError); !errors.As(err, unknown) {
			t.Errorf("%s without roots: %v", protocol, err)
		}
		opts.Roots = func(context.Context) (*x509.CertPool, error) { return nil, broken }
		if _, err := New(opts, NewUplink(UplinkOptions{})).connect(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s without a bundle: %v", protocol, err)
		}
	}
	opts := h.options(newRecorder(), nil)
	opts.Protocol = "Quic"
	if _, err := New(opts, NewUplink(UplinkOptions{})).connect(t.Context()); err == nil || !strings.Contains(err.Error(), "Quic") {
		t.Errorf("an unknown protocol: %v", err)
	}
}

func TestAtMostSixteenPublishesAreUnacknowledgedAndInOrder(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r, u := new(receipts), NewUplink(UplinkOptions{})
	numbered(t, u, r, bodies(40)...)
	h.run(h.options(newRecorder(), nil), u)
	p := h.login()
	var ids []uint16
	for n := range 40 {
		if n >= unacknowledged {
			if n == unacknowledged {
				p.silent()
			}
			p.puback(ids[n-unacknowledged])
		}
		m := next[*packets.PublishPacket](p)
		if string(m.Payload) != strconv.Itoa(n) || m.Qos != 1 || slices.Contains(ids, m.MessageID) {
			t.Fatalf("publish %d: %s", n, m)
		}
		ids = append(ids, m.MessageID)
	}
	if accepted, _ := r.counts(); accepted != 0 {
		t.Errorf("%d accepted before the whole flight is", accepted)
	}
	for _, id := range ids[40-unacknowledged:] {
		p.puback(id)
	}
	p.puback(9999) // which is for nothing
	if accepted, refused := settled(t, u, r); accepted != 40 || refused != 0 {
		t.Errorf("accepted %d, refused %d", accepted, refused)
	}
}

func TestWhatIsUnacknowledgedComesAgainInOrderOnTheNextConnection(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r, u := new(receipts), NewUplink(UplinkOptions{})
	numbered(t, u, r, bodies(20)...)
	h.run(h.options(newRecorder(), nil), u)
	p := h.login()
	p.puback(next[*packets.PublishPacket](p).MessageID)
	first := next[*packets.PublishPacket](p)
	_ = p.conn.Close()
	numbered(t, u, r, "20")
	p = h.login()
	for n := range 21 {
		m := next[*packets.PublishPacket](p)
		if string(m.Payload) != strconv.Itoa(n) {
			t.Fatalf("publish %d: %s", n, m)
		}
		if n == 1 && m.TopicName != first.TopicName {
			t.Errorf("the message comes as %s, not as %s", m.TopicName, first.TopicName)
		}
		p.puback(m.MessageID)
	}
	if accepted, refused := settled(t, u, r); accepted != 21 || refused != 0 {
		t.Errorf("accepted %d, refused %d", accepted, refused)
	}
}

func TestAHubThatAcknowledgesNothingCountsAsGone(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r, u := newRecorder(), NewUplink(UplinkOptions{})
	opts := h.options(r, r)
	opts.SettleTimeout = 50 * time.Millisecond
	h.run(opts, u)
	mustSend(t, u, "x")
	p := h.login()
	next[*packets.PublishPacket](p)
	if err := heard(t, r.changes); err != nil {
		t.Fatal(err)
	}
	if err := heard(t, r.changes); err == nil || !strings.Contains(err.Error(), "unacknowledged for 50ms") {
		t.Errorf("told %v", err)
	}
}

func TestAMessageThatMQTTCannotCarryIsRefusedAlone(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r, u := new(receipts), NewUplink(UplinkOptions{})
	numbered(t, u, r, "0", "1")
	wide := telemetry("wide")
	wide.Properties = []message.Property{{Name: "text", Value: strings.Repeat("鹿", topicLimit/9)}} // 9 bytes each in a topic
	if err := u.TrySend([]message.Message{*wide}, r); err != nil {
		t.Fatal(err)
	}
	numbered(t, u, r, "2")
	h.run(h.options(newRecorder(), nil), u)
	p := h.login()
	for n := range 3 {
		m := next[*packets.PublishPacket](p)
		if string(m.Payload) != strconv.Itoa(n) {
			t.Errorf("publish %d: %s", n, m)
		}
		p.puback(m.MessageID)
	}
	accepted, _ := settled(t, u, r)
	if accepted != 3 || len(r.refused) != 1 || !errors.Is(r.refused[0], errPublishLimit) {
		t.Errorf("accepted %d, refused %v", accepted, r.refused)
	}
}

func TestTwinRequestsAreAnsweredByTheirID(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	hub := h.run(h.options(newRecorder(), nil), NewUplink(UplinkOptions{}))
	if err := hub.Report(t.Context(), json.RawMessage(`{}`)); !errors.Is(err, ErrNotConnected) {
		t.Errorf("without a connection: %v", err)
	}
	rec := newRecorder()
	h2 := newMQTTHub(t)
	hub = h2.run(h2.options(rec, rec), NewUplink(UplinkOptions{}))
	p := h2.login()
	if err := heard(t, rec.changes); err != nil {
		t.Fatal(err)
	}
	type twin struct {
		desired json.RawMessage
		err     error
	}
	got, reported := make(chan twin, 1), make(chan error, 1)
	go func() {
		desired, _, err := hub.Twin(context.Background())
		got <- twin{desired, err}
	}()
	get, ok := strings.CutPrefix(next[*packets.PublishPacket](p).TopicName, "$iothub/twin/GET/?$rid=")
	go func() { reported <- hub.Report(context.Background(), json.RawMessage(`{"a":1}`)) }()
	m := next[*packets.PublishPacket](p)
	patch, ok2 := strings.CutPrefix(m.TopicName, "$iothub/twin/PATCH/properties/reported/?$rid=")
	if !ok || !ok2 || string(m.Payload) != `{"a":1}` {
		t.Fatalf("requests %q, %s", get, m)
	}
	p.publish("$iothub/twin/res/200/?$rid=nobody", `{}`, 0)
	p.publish("$iothub/twin/res/400/?$rid="+patch, "", 0)
	p.publish("$iothub/twin/res/200/?$rid="+get, `{"desired":{"$version":3},"reported":{}}`, 0)
	if refused := new(TwinError); !errors.As(heard(t, reported), &refused) || refused.Status != 400 {
		t.Errorf("the report: %v", refused)
	}
	if a := heard(t, got); a.err != nil || string(a.desired) != `{"$version":3}` {
		t.Errorf("the twin: %s, %v", a.desired, a.err)
	}
	go func() { reported <- hub.Report(context.Background(), json.RawMessage(`{}`)) }()
	next[*packets.PublishPacket](p)
	_ = p.conn.Close()
	if err := heard(t, reported); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a report whose connection ends: %v", err)
	}
}

func TestDesiredPatchesKeepTheirOrderAndWhatCameEarlyIsNotLost(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec := newRecorder()
	h.run(h.options(rec, nil), NewUplink(UplinkOptions{}))
	p := h.accept()
	p.connack(packets.Accepted)
	s := next[*packets.SubscribePacket](p)
	patch := func(n int) {
		p.publish(fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", n), strconv.Itoa(n), 0)
	}
	patch(0) // before SUBACK
	p.suback(s, 0, 0, 0, 1)
	for n := 1; n < 50; n++ {
		patch(n)
	}
	for n := range 50 {
		if got := heard(t, rec.patches); got != strconv.Itoa(n) {
			t.Fatalf("patch %d is %s", n, got)
		}
	}
}

func TestEveryMethodIsAnsweredWhateverItsPayload(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec, release := newRecorder(), make(chan struct{})
	rec.method = func(_ context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
		if name == "wait" {
			<-release
		}
		if name == "nothing" {
			return 404, nil
		}
		return 200, json.RawMessage(fmt.Sprintf("[%q,%s]", name, payload))
	}
	h.run(h.options(rec, nil), NewUplink(UplinkOptions{}))
	p := h.login()
	for _, c := range []struct{ name, payload, status, answer string }{
		{"say%20it", `[1,"a"]`, "200", `["say it",[1,"a"]]`},
		{"say", `7`, "200", `["say",7]`},
		{"say", `null`, "200", `["say",null]`},
		{"nothing", ``, "404", `null`},
	} {
		p.publish("$iothub/methods/POST/"+c.name+"/?$rid=%7b1", c.payload, 0)
		m := next[*packets.PublishPacket](p)
		if m.TopicName != "$iothub/methods/res/"+c.status+"/?$rid=%7b1" || string(m.Payload) != c.answer || m.Qos != 0 {
			t.Errorf("%s %s: %s", c.name, c.payload, m)
		}
	}
	for range methodsAtOnce {
		p.publish("$iothub/methods/POST/wait/?$rid=1", "0", 0)
	}
	p.publish("$iothub/methods/POST/wait/?$rid=2", "0", 0)
	if m := next[*packets.PublishPacket](p); m.TopicName != "$iothub/methods/res/429/?$rid=2" {
		t.Errorf("over the bound: %s", m)
	}
	close(release)
	for range methodsAtOnce {
		if m := next[*packets.PublishPacket](p); m.TopicName != "$iothub/methods/res/200/?$rid=1" {
			t.Errorf("after the release: %s", m)
		}
	}
}

func TestAnInputIsAcknowledgedOnceItIsHandled(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec := newRecorder()
	h.run(h.options(rec, nil), NewUplink(UplinkOptions{}))
	p := h.login()
	for _, refusal := range []error{nil, errors.New("unreadable")} { // which drops it
		id := p.publish("devices/edge%201/modules/cause%2Bway/inputs/commands/a=1", "body", 1)
		if in := heard(t, rec.inputs); in.Name != "commands" || string(in.Body) != "body" || in.Properties["a"] != "1" {
			t.Errorf("input %+v", in)
		}
		p.silent()
		rec.proceed <- refusal
		if ack := next[*packets.PubackPacket](p); ack.MessageID != id {
			t.Errorf("acknowledged %d, not %d", ack.MessageID, id)
		}
	}
}

func TestWhatTheHubMustNotSendEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	rec := newRecorder()
	h.run(h.options(rec, rec), NewUplink(UplinkOptions{}))
	for text, want := range map[string]string{
		"\x20\x02\x00\x00":                       "unexpected packet", // CONNACK again
		"\x30\xff\xff\xff\x7f":                   "268435455 bytes",
		"\x30\xff\xff\xff\xff":                   "more than four bytes",
		"\x30\x18\x00\x16$iothub/twin/res/200/a": "unreadable topic",
	} {
		p := h.login()
		if err := heard(t, rec.changes); err != nil {
			t.Fatal(err)
		}
		if _, err := p.conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := heard(t, rec.changes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: told %v, want %s", text, err, want)
		}
	}
}
