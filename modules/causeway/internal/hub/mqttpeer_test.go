package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// mqttHub is a listener with a certificate for 127.0.0.1, whose connections the test
// answers itself, packet by packet.
type mqttHub struct {
	t     *testing.T
	l     net.Listener
	roots *x509.CertPool
}

func newMQTTHub(t *testing.T) *mqttHub {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	return &mqttHub{t: t, l: l, roots: roots}
}

func (h *mqttHub) options(handler Handler, o Observer) Options {
	return Options{
		Identity: testIdentity(h.l.Addr().String()), Credential: Credential{Signer: keySigner("key")}, Protocol: MQTT, Version: "causeway/1 2",
		Roots:   func(context.Context) (*x509.CertPool, error) { return h.roots, nil },
		Handler: handler, Observer: o,
	}
}

// run runs a hub until the test ends.
func (h *mqttHub) run(opts Options, u *Uplink) *Hub {
	hub := New(opts, u)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		hub.Run(ctx)
	}()
	h.t.Cleanup(func() {
		stop()
		<-ended
		u.Close()
	})
	return hub
}

// mqttPeer is the hub's side of one connection.
type mqttPeer struct {
	t       *testing.T
	conn    net.Conn
	connect *packets.ConnectPacket
	last    uint16
}

// accept takes a connection and its CONNECT.
func (h *mqttHub) accept() *mqttPeer {
	h.t.Helper()
	conn, err := h.l.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	p := &mqttPeer{t: h.t, conn: conn}
	p.connect = next[*packets.ConnectPacket](p)
	return p
}

// login takes a connection and everything that comes before the first publish.
func (h *mqttHub) login() *mqttPeer {
	h.t.Helper()
	p := h.accept()
	p.connack(packets.Accepted)
	s := next[*packets.SubscribePacket](p)
	p.suback(s, s.Qoss...)
	return p
}

func (p *mqttPeer) read() packets.ControlPacket {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	pk, err := packets.ReadPacket(p.conn)
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return pk
}

// next is the next packet, of that type.
func next[T packets.ControlPacket](p *mqttPeer) T {
	p.t.Helper()
	pk := p.read()
	want, ok := pk.(T)
	if !ok {
		p.t.Fatalf("got %s", pk)
	}
	return want
}

// silent tells that nothing comes for a while.
func (p *mqttPeer) silent() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if pk, err := packets.ReadPacket(p.conn); err == nil {
		p.t.Fatalf("got %s", pk)
	}
}

func (p *mqttPeer) write(pk packets.ControlPacket) {
	p.t.Helper()
	if err := pk.Write(p.conn); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *mqttPeer) connack(code byte) {
	p.t.Helper()
	p.write(&packets.ConnackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Connack}, ReturnCode: code})
}

func (p *mqttPeer) suback(s *packets.SubscribePacket, codes ...byte) {
	p.t.Helper()
	p.write(&packets.SubackPacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Suback}, MessageID: s.MessageID, ReturnCodes: codes,
	})
}

func (p *mqttPeer) puback(id uint16) {
	p.t.Helper()
	p.write(&packets.PubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Puback}, MessageID: id})
}

func (p *mqttPeer) publish(topic, body string, quality byte) uint16 {
	p.t.Helper()
	p.last++
	p.write(&packets.PublishPacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Publish, Qos: quality}, TopicName: topic,
		MessageID: p.last, Payload: []byte(body),
	})
	return p.last
}

// recorder is a handler and an observer that tell the test what they hear.
type recorder struct {
	changes chan error
	renewed chan struct{}
	patches chan string
	inputs  chan Input
	proceed chan error // the answer to each input
	method  func(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage)
}

func newRecorder() *recorder {
	const enough = 100
	return &recorder{
		changes: make(chan error, enough), renewed: make(chan struct{}, enough), patches: make(chan string, 2*enough),
		inputs: make(chan Input, enough), proceed: make(chan error),
	}
}

func (*recorder) Connected()                      {}
func (r *recorder) Desired(patch json.RawMessage) { r.patches <- string(patch) }
func (r *recorder) Method(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
	return r.method(ctx, name, payload)
}

func (r *recorder) Input(ctx context.Context, in Input) error {
	r.inputs <- in
	select {
	case err := <-r.proceed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (r *recorder) Connection(err error)           { r.changes <- err }
func (r *recorder) Renewed()                       { r.renewed <- struct{}{} }
func (*recorder) Batch(int, time.Duration, string) {}

// heard is the next of what a channel brings.
func heard[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatal("nothing was heard")
	}
	return v
}

// receipts counts settlements.
type receipts struct {
	mu       sync.Mutex
	accepted int
	refused  []error
}

func (r *receipts) Settled(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.refused = append(r.refused, err)
		return
	}
	r.accepted++
}

func (r *receipts) counts() (accepted, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted, len(r.refused)
}

// settled waits until everything is settled, and returns how.
func settled(t *testing.T, u *Uplink, r *receipts) (accepted, refused int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := u.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return r.counts()
}

// numbered sends messages of one device whose bodies count from first.
func numbered(t *testing.T, u *Uplink, r message.Receipt, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := u.TrySend(one(body), r); err != nil {
			t.Fatal(err)
		}
	}
}
