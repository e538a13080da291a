package amqp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"
)

// node is a Handler with knobs: the functions that are nil are not called.
type node struct {
	connected    func(*Conn) error
	attach       func(*Link) (Terms, error)
	disconnected chan *Conn
}

func (n *node) Connected(c *Conn) error {
	if n.connected != nil {
		return n.connected(c)
	}
	return nil
}

func (n *node) Attach(_ context.Context, l *Link) (Terms, error) { return n.attach(l) }

func (n *node) Disconnected(c *Conn) {
	if n.disconnected != nil {
		n.disconnected <- c
	}
}

// accepting is what a link gets that has its messages accepted.
func accepting(deliver func(*Delivery)) Terms {
	return Terms{
		SenderMode: SenderMixed, Credit: 1000, MaxMessageSize: 1 << 20,
		Deliver: func(_ context.Context, d *Delivery) { deliver(d) },
	}
}

// start serves the handler and returns the address. All is over when the test is.
func start(tb testing.TB, srv *Server) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func dial(tb testing.TB, addr string, o *client.ConnOptions) *client.Conn {
	tb.Helper()
	c, err := client.Dial(testContext(tb), "amqp://"+addr, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func newSession(tb testing.TB, c *client.Conn) *client.Session {
	tb.Helper()
	s, err := c.NewSession(testContext(tb), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// testContext is long enough for anything that is not stuck.
func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func TestAMessageOfManyFramesArrivesWholeAndIsAccepted(t *testing.T) {
	got := make(chan *Delivery, 1)
	addr := start(t, &Server{Handler: &node{attach: func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) { d.Settle(&Accepted{}); got <- d }), nil
	}}})
	s := newSession(t, dial(t, addr, &client.ConnOptions{MaxFrameSize: 4096}))
	snd, err := s.NewSender(testContext(t), "somewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 60000)
	if err := snd.Send(testContext(t), client.NewMessage(body), nil); err != nil {
		t.Fatal(err)
	}
	var m Message
	if err := m.Unmarshal((<-got).Data); err != nil {
		t.Fatal(err)
	}
	if len(m.Data) != 1 || !bytes.Equal(m.Data[0], body) {
		t.Fatalf("the body came as %d sections", len(m.Data))
	}
}

func TestARejectionReachesTheSenderWithItsCondition(t *testing.T) {
	addr := start(t, &Server{Handler: &node{attach: func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) {
			d.Settle(&Rejected{Err: &Error{Condition: CondNotAllowed, Description: "no"}})
		}), nil
	}}})
	snd, err := newSession(t, dial(t, addr, nil)).NewSender(testContext(t), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = snd.Send(testContext(t), client.NewMessage([]byte("a")), nil)
	var remote *client.Error
	if !errors.As(err, &remote) || remote.Condition != client.ErrCondNotAllowed {
		t.Fatalf("got %v", err)
	}
	if err := snd.Send(testContext(t), client.NewMessage([]byte("a")), nil); !errors.As(err, &remote) {
		t.Fatalf("the link did not stay open: %v", err)
	}
}

func TestARefusedAttachIsAttachedAndDetachedWithTheCondition(t *testing.T) {
	addr := start(t, &Server{Handler: &node{attach: func(*Link) (Terms, error) {
		return Terms{}, &Error{Condition: CondNotAllowed, Description: "Matching template not found"}
	}}})
	s := newSession(t, dial(t, addr, nil))
	_, sendErr := s.NewSender(testContext(t), "x", nil)
	_, receiveErr := s.NewReceiver(testContext(t), "x", nil)
	for _, err := range []error{sendErr, receiveErr} {
		if err == nil || !strings.Contains(err.Error(), "Matching template not found") {
			t.Errorf("got %v", err)
		}
	}
}

func TestOutgoingMessagesWaitForCredit(t *testing.T) {
	links := make(chan *Link, 1)
	addr := start(t, &Server{Handler: &node{attach: func(l *Link) (Terms, error) {
		links <- l
		return Terms{SenderMode: SenderMixed}, nil
	}}})
	s := newSession(t, dial(t, addr, &client.ConnOptions{MaxFrameSize: 1024}))
	r, err := s.NewReceiver(testContext(t), "x", &client.ReceiverOptions{Credit: -1})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(chan DeliveryState, 3)
	m := Message{Data: [][]byte{bytes.Repeat([]byte("x"), 5000)}}
	data, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := <-links
	for range 3 {
		if err := l.Send(&Outgoing{Data: data, Settled: func(o DeliveryState) { outcomes <- o }}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.IssueCredit(2); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		msg, err := r.Receive(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(msg.GetData()) != 5000 {
			t.Fatalf("%d bytes", len(msg.GetData()))
		}
		if i == 0 {
			err = r.AcceptMessage(testContext(t), msg)
		} else {
			err = r.ReleaseMessage(testContext(t), msg)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := (<-outcomes).(*Accepted); !ok {
		t.Error("the first was not accepted")
	}
	if _, ok := (<-outcomes).(*Released); !ok {
		t.Error("the second was not released")
	}
	if r.Prefetched() != nil {
		t.Error("a third message came without credit")
	}
	if err := r.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if o := <-outcomes; o != nil {
		t.Errorf("the lost message has the outcome %T", o)
	}
}
