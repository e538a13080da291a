package wshead_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/wshead"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers what it gets behind its name.
func echo(name string) wshead.Serve {
	return func(_ context.Context, nc net.Conn) error {
		defer func() { _ = nc.Close() }()
		if c, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); !ok || !c.ConnectionState().HandshakeComplete {
			name = "insecure"
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(nc, b); err != nil {
			return err
		}
		_, err := nc.Write(append([]byte(name+" "), b...))
		return err
	}
}

func TestTheFirstKnownSubprotocolWins(t *testing.T) {
	door := wshead.Door{Heads: map[string]wshead.Serve{wshead.AMQP: echo("amqp"), wshead.MQTT: echo("mqtt")}}
	s := httptest.NewTLSServer(door)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cases := []struct {
		ask          []string
		chosen, want string
	}{
		{[]string{"AMQPWSB10"}, "AMQPWSB10", "amqp hello"},
		{[]string{"mqtt"}, "mqtt", "mqtt hello"},
		{[]string{"mqttv3.1", "mqtt", "AMQPWSB10"}, "mqtt", "mqtt hello"},
		{[]string{"stomp"}, "", ""},
		{nil, "", ""},
	}
	for _, c := range cases {
		ws, answer, err := websocket.Dial(ctx, s.URL+"/$iothub/websocket", &websocket.DialOptions{
			HTTPClient: s.Client(), Subprotocols: c.ask, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
		})
		if c.chosen == "" {
			if err == nil || answer.StatusCode != http.StatusBadRequest {
				t.Errorf("%q: %v", c.ask, err)
			}
			continue
		}
		if err != nil || ws.Subprotocol() != c.chosen {
			t.Fatalf("%q: %v", c.ask, err)
		}
		nc := websocket.NetConn(ctx, ws, websocket.MessageBinary)
		// In two messages, for frames of the protocol and of WebSocket have nothing to do with each other.
		for _, part := range []string{"he", "llo"} {
			if _, err := io.WriteString(nc, part); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(nc); string(got) != c.want || err != nil {
			t.Errorf("%q: %q, %v", c.ask, got, err)
		}
		_ = nc.Close()
	}
	s.Client().CloseIdleConnections()
}
