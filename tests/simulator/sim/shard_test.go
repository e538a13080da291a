package sim_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// bounded is long enough for anything that is not stuck.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// shard is one connection for many devices.
type shard struct {
	t       *testing.T
	edge    *sim.Edge
	conn    *amqp.Conn
	session *amqp.Session
	ask     *amqp.Sender
	answers *amqp.Receiver
}

// ways are how a shard reaches the hub.
func ways() map[string]func(*testing.T, *sim.Edge) *shard {
	return map[string]func(*testing.T, *sim.Edge) *shard{"AMQP": dialShard, "AMQP over WebSocket": dialWebShard}
}

func dialShard(t *testing.T, e *sim.Edge) *shard {
	t.Helper()
	return dialShardAt(t, e, e.Gateway())
}

func dialShardAt(t *testing.T, e *sim.Edge, address string) *shard {
	t.Helper()
	conn, err := amqp.Dial(bounded(t), "amqps://"+address, &amqp.ConnOptions{TLSConfig: trust(t, e)})
	if err != nil {
		t.Fatal(err)
	}
	return newShard(t, e, conn)
}

func dialWebShard(t *testing.T, e *sim.Edge) *shard {
	t.Helper()
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, e)}}
	ws, _, err := websocket.Dial(bounded(t), "wss://"+e.WebGateway()+"/$iothub/websocket", &websocket.DialOptions{
		HTTPClient: web, Subprotocols: []string{"AMQPWSB10"},
	})
	if err != nil {
		t.Fatal(err)
	}
	nc := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
	conn, err := amqp.NewConn(bounded(t), nc, &amqp.ConnOptions{HostName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	return newShard(t, e, conn)
}

func newShard(t *testing.T, e *sim.Edge, conn *amqp.Conn) *shard {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	s := &shard{t: t, edge: e, conn: conn}
	s.session = s.begin()
	var err error
	if s.answers, err = s.session.NewReceiver(bounded(t), "$cbs", nil); err != nil {
		t.Fatal(err)
	}
	if s.ask, err = s.session.NewSender(bounded(t), "$cbs", nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shard) begin() *amqp.Session {
	s.t.Helper()
	session, err := s.conn.NewSession(bounded(s.t), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return session
}

// put puts a token and returns the status.
func (s *shard) put(token string) int32 {
	s.t.Helper()
	err := s.ask.Send(bounded(s.t), &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: "1"},
		ApplicationProperties: map[string]any{
			"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "device",
		},
		Value: token,
	}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	status, _ := receive(s.t, s.answers).ApplicationProperties["status-code"].(int32)
	return status
}

// login puts good tokens of devices.
func (s *shard) login(devices ...string) {
	s.t.Helper()
	for _, device := range devices {
		token, err := s.edge.Hub().Sign(edge.Identity{Device: device}, time.Hour)
		if err != nil {
			s.t.Fatal(err)
		}
		if status := s.put(token); status != 200 {
			s.t.Fatalf("token of %s: %d", device, status)
		}
	}
}

func (s *shard) events(device string) *amqp.Sender {
	s.t.Helper()
	sender, err := s.tryEvents(device)
	if err != nil {
		s.t.Fatal(err)
	}
	return sender
}

func (s *shard) tryEvents(device string) (*amqp.Sender, error) {
	return s.session.NewSender(bounded(s.t), "/devices/"+device+"/messages/events", nil)
}

func (s *shard) send(sender *amqp.Sender, body string) {
	s.t.Helper()
	if err := sender.Send(bounded(s.t), amqp.NewMessage([]byte(body)), nil); err != nil {
		s.t.Fatalf("send %s: %v", body, err)
	}
}

// devicebound listens to messages from the cloud.
func (s *shard) devicebound(device string) *amqp.Receiver {
	s.t.Helper()
	r, err := s.session.NewReceiver(bounded(s.t), "/devices/"+device+"/messages/devicebound",
		&amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// closed waits for the end of the connection, which has to come without an error.
func (s *shard) closed(why string) {
	s.t.Helper()
	select {
	case <-s.conn.Done():
	case <-bounded(s.t).Done():
		s.t.Fatalf("%s: the connection was not closed", why)
	}
	var remote *amqp.Error
	if errors.As(s.conn.Err(), &remote) {
		s.t.Errorf("%s: the close carries %v", why, remote)
	}
}

// refused checks the condition with which a link is refused.
func refused(t *testing.T, why string, err error, condition amqp.ErrCond) {
	t.Helper()
	var remote *amqp.Error
	if !errors.As(err, &remote) || remote.Condition != condition {
		t.Errorf("%s: %v, want %s", why, err, condition)
	}
}
