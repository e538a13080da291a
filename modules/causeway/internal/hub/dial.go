package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// Protocol is what the hub is spoken to in, by the runtime's own names.
type Protocol string

// The four protocols. Over WebSocket they pass where only port 443 is open.
const (
	AMQP          Protocol = "Amqp"
	AMQPWebSocket Protocol = "AmqpWs"
	MQTT          Protocol = "Mqtt"
	MQTTWebSocket Protocol = "MqttWs"
)

// webSocketPath is where IoT Hub, and the SDKs, have both protocols; the edge hub
// takes any path.
const webSocketPath = "/$iothub/websocket"

// way is how a protocol travels.
type way struct {
	port        string // of a gateway that names none
	subprotocol string // of the WebSocket; empty for TLS alone
}

// ways has every protocol; read only.
var ways = map[Protocol]way{
	AMQP:          {port: "5671"}, // IANA amqps
	AMQPWebSocket: {port: "443", subprotocol: "AMQPWSB10"},
	MQTT:          {port: "8883"}, // IANA secure-mqtt
	MQTTWebSocket: {port: "443", subprotocol: "mqtt"},
}

// upstream is where the hub is and how it is reached.
type upstream struct {
	protocol Protocol
	gateway  string // host, or host:port
	roots    func(context.Context) (*x509.CertPool, error)
	// certificate is shown to the hub in place of tokens; nil for none: with one, the hub
	// has no $cbs (edgehub AmqpProtocolHead).
	certificate *tls.Certificate
}

func (h *Hub) upstream() upstream {
	return upstream{protocol: h.opts.Protocol, gateway: h.opts.Identity.Gateway, roots: h.opts.Roots}
}

// dial opens the way to the hub. The certificate is verified, always.
func (u upstream) dial(ctx context.Context) (net.Conn, error) {
	w, known := ways[u.protocol]
	if !known {
		return nil, fmt.Errorf("dial: protocol %q is none of Amqp, AmqpWs, Mqtt and MqttWs", u.protocol)
	}
	host, port, err := net.SplitHostPort(u.gateway)
	if err != nil {
		host, port = u.gateway, w.port
	}
	roots, err := u.roots(ctx)
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	verified := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
	if u.certificate != nil {
		verified.Certificates = []tls.Certificate{*u.certificate}
	}
	addr := net.JoinHostPort(host, port)
	if w.subprotocol != "" {
		return dialWebSocket(ctx, addr, w.subprotocol, verified)
	}
	d := tls.Dialer{Config: verified}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// dialWebSocket opens a WebSocket and uses it as a stream, as both protocols do: a
// message of the one need not be a message of the other.
func dialWebSocket(ctx context.Context, addr, subprotocol string, verified *tls.Config) (net.Conn, error) {
	transport := &http.Transport{TLSClientConfig: verified, DisableKeepAlives: true}
	ws, answer, err := websocket.Dial(ctx, "wss://"+addr+webSocketPath, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{subprotocol},
	})
	if answer != nil && answer.Body != nil {
		_ = answer.Body.Close() // the library has read what there is
	}
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if got := ws.Subprotocol(); got != subprotocol {
		_ = ws.CloseNow() // the failure below is what matters
		return nil, fmt.Errorf("dial: the peer chose subprotocol %q, not %q", got, subprotocol)
	}
	stream := websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary)
	return webSocket{Conn: stream, ws: ws}, nil
}

// webSocket closes at once: the protocols within have said goodbye in their own words,
// and a peer that is gone would let the closing handshake of the WebSocket wait.
type webSocket struct {
	net.Conn
	ws *websocket.Conn
}

// Close implements net.Conn.
func (w webSocket) Close() error { return w.ws.CloseNow() }
