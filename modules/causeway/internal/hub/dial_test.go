package hub

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// webHub is a server whose WebSockets take the subprotocols, and are given to accept.
func webHub(t *testing.T, accept func(*websocket.Conn, *http.Request), subprotocols ...string) Options {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: subprotocols})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer func() { _ = ws.CloseNow() }()
		accept(ws, r)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return Options{
		Identity: testIdentity(s.Listener.Addr().String()), Credential: Credential{Signer: keySigner("key")}, Protocol: MQTTWebSocket,
		Handler: newRecorder(), Roots: func(context.Context) (*x509.CertPool, error) { return roots, nil },
	}
}

func TestMQTTOverWebSocketIsTheSameAsWithout(t *testing.T) {
	t.Parallel()
	ended := make(chan packets.ControlPacket, 1)
	opts := webHub(t, func(ws *websocket.Conn, r *http.Request) {
		if r.URL.Path != "/$iothub/websocket" || ws.Subprotocol() != "mqtt" {
			t.Errorf("path %s, subprotocol %s", r.URL.Path, ws.Subprotocol())
		}
		p := &mqttPeer{t: t, conn: websocket.NetConn(r.Context(), ws, websocket.MessageBinary)}
		_ = p.conn.SetDeadline(time.Now().Add(patience))
		_, _ = packets.ReadPacket(p.conn)
		p.connack(packets.Accepted)
		pk, _ := packets.ReadPacket(p.conn)
		if s, ok := pk.(*packets.SubscribePacket); ok {
			p.suback(s, 0, 0, 0, 1)
		}
		pk, _ = packets.ReadPacket(p.conn)
		ended <- pk
	}, "mqtt")
	l, err := New(opts, NewUplink(UplinkOptions{})).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_ = l.run(ctx) // which has ended
	if pk := heard(t, ended); pk == nil || !strings.HasPrefix(pk.String(), "DISCONNECT") {
		t.Errorf("at the end came %v", pk)
	}
}

func TestAWebSocketOfAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	opts := webHub(t, func(*websocket.Conn, *http.Request) {}, "soap")
	for _, protocol := range []Protocol{AMQPWebSocket, MQTTWebSocket} {
		opts.Protocol = protocol
		_, err := New(opts, NewUplink(UplinkOptions{})).connect(t.Context())
		if err == nil || !strings.Contains(err.Error(), `subprotocol ""`) {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}
