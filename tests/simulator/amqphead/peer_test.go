package amqphead_test

import (
	"context"
	"net"
	"testing"
	"time"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

//nolint:gochecknoglobals // the identity that most tests use
var gateway = edge.Identity{Device: "edge 1", Module: "gw"}

const (
	gatewayEvents  = "/devices/edge%201/modules/gw/messages/events"
	gatewayTwin    = "/devices/edge%201/modules/gw/twin"
	gatewayMethods = "/devices/edge%201/modules/gw/methods/devicebound"
	gatewayToken   = "token:edge 1/gw"
)

// bounded is long enough for anything that is not stuck.
func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func serve(tb testing.TB, h *hub, opts amqphead.Options) string {
	tb.Helper()
	return serveHead(tb, h, opts)
}

func serveHead(tb testing.TB, h edge.Head, opts amqphead.Options) string {
	tb.Helper()
	l := listen(tb)
	srv := amqphead.New(h, opts)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(context.Background(), l) }()
	tb.Cleanup(func() {
		if err := srv.Close(); err != nil {
			tb.Error(err)
		}
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return l.Addr().String()
}

// peer is a client with a session and, after token, a pair of CBS links.
type peer struct {
	t       testing.TB
	conn    *amqp.Conn
	session *amqp.Session
	ask     *amqp.Sender
	answers *amqp.Receiver
}

func connect(tb testing.TB, addr string) *peer {
	tb.Helper()
	c, err := amqp.Dial(bounded(tb), "amqp://"+addr, &amqp.ConnOptions{HostName: "hub"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession(bounded(tb), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &peer{t: tb, conn: c, session: s}
}

// login connects and puts the tokens, which must be taken.
func login(tb testing.TB, addr string, tokens ...string) *peer {
	tb.Helper()
	p := connect(tb, addr)
	for _, token := range tokens {
		if status, text := p.put(token); status != 200 {
			tb.Fatalf("put-token: %d %s", status, text)
		}
	}
	return p
}

func (p *peer) put(token string) (status int32, text string) {
	return p.request(&amqp.Message{
		Value: token,
		ApplicationProperties: map[string]any{
			"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "hub",
		},
	})
}

func (p *peer) request(m *amqp.Message) (status int32, text string) {
	p.t.Helper()
	if p.ask == nil {
		p.ask = p.sender("$cbs", nil)
		p.answers = p.receiver("$cbs", nil)
	}
	m.Properties = &amqp.MessageProperties{MessageID: "request-1"}
	if err := p.ask.Send(bounded(p.t), m, nil); err != nil {
		p.t.Fatal(err)
	}
	reply := p.receive(p.answers)
	if reply.Properties.CorrelationID != "request-1" {
		p.t.Fatalf("correlation id %v", reply.Properties.CorrelationID)
	}
	return reply.ApplicationProperties["status-code"].(int32), reply.ApplicationProperties["status-description"].(string)
}

func (p *peer) sender(address string, o *amqp.SenderOptions) *amqp.Sender {
	p.t.Helper()
	s, err := p.session.NewSender(bounded(p.t), address, o)
	if err != nil {
		p.t.Fatalf("sender %s: %v", address, err)
	}
	return s
}

func (p *peer) receiver(address string, o *amqp.ReceiverOptions) *amqp.Receiver {
	p.t.Helper()
	r, err := p.session.NewReceiver(bounded(p.t), address, o)
	if err != nil {
		p.t.Fatalf("receiver %s: %v", address, err)
	}
	return r
}

// receive takes the next message and accepts it.
func (p *peer) receive(r *amqp.Receiver) *amqp.Message {
	p.t.Helper()
	m, err := r.Receive(bounded(p.t), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := r.AcceptMessage(bounded(p.t), m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// closed waits until the connection has ended and returns why.
func (p *peer) closed() error {
	p.t.Helper()
	select {
	case <-p.conn.Done():
		return p.conn.Err()
	case <-bounded(p.t).Done():
		p.t.Fatal("the connection was not closed")
		return nil
	}
}

func pairOf(channel string) map[string]any {
	return map[string]any{"com.microsoft:channel-correlation-id": channel}
}

// eventually polls, because what it waits for is told by nobody.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := bounded(tb)
	for !holds() {
		select {
		case <-ctx.Done():
			tb.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func next[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-bounded(tb).Done():
		tb.Fatalf("no %T came", *new(T))
		panic("unreachable")
	}
}
