// Package wshead is the edge hub's WebSocket door, one HTTPS port for AMQP and MQTT: it
// turns a request that asks for a known subprotocol into a connection and hands it to that
// protocol's head. What is no WebSocket can have a handler of its own on the port.
package wshead

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// The subprotocols of the hub.
const (
	AMQP = "AMQPWSB10"
	MQTT = "mqtt"
)

// Serve serves one connection until it has ended and closes it.
type Serve func(ctx context.Context, nc net.Conn) error

// Door is an http.Handler for every path: the real hub looks at the subprotocol alone. SDKs
// ask for /$iothub/websocket.
type Door struct {
	// Heads are the protocols behind the door by their subprotocol.
	Heads map[string]Serve
	// Otherwise, if not nil, answers requests that ask for no WebSocket.
	Otherwise http.Handler
}

// ServeHTTP takes the first subprotocol that the client asks for and the door knows, and
// returns when that connection has ended. Without one the answer is 400.
func (d Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.Otherwise != nil && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		d.Otherwise.ServeHTTP(w, r)
		return
	}
	name := d.choose(r.Header.Values("Sec-WebSocket-Protocol"))
	if name == "" {
		http.Error(w, "a WebSocket of subprotocol "+AMQP+" or "+MQTT+" is wanted", http.StatusBadRequest)
		return
	}
	// Origins are not looked at, as in the real hub: who connects has a token.
	hijacked := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(hijacked, r, &websocket.AcceptOptions{
		Subprotocols: []string{name}, OriginPatterns: []string{"*"},
	})
	if err != nil {
		return // Accept has answered
	}
	nc := websocket.NetConn(r.Context(), ws, websocket.MessageBinary)
	if r.TLS != nil {
		nc = secured{nc, hijacked.conn, *r.TLS}
	}
	_ = d.Heads[name](r.Context(), nc) // the client has been told what there is to tell
}

// choose returns the name as the client writes it, or "".
func (d Door) choose(headers []string) string {
	for _, header := range headers {
		for name := range strings.SplitSeq(header, ",") {
			if name = strings.TrimSpace(name); d.Heads[name] != nil {
				return name
			}
		}
	}
	return ""
}

// hijacker remembers the connection that the WebSocket takes over.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, buffered, err
}

// secured is a connection that still knows the TLS under it.
type secured struct {
	net.Conn
	below net.Conn
	state tls.ConnectionState
}

// NetConn is the connection that carries the WebSocket.
func (s secured) NetConn() net.Conn { return s.below }

// ConnectionState returns that of the request.
func (s secured) ConnectionState() tls.ConnectionState { return s.state }
