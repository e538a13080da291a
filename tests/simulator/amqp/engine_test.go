package amqp_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

// node is a Handler with knobs: the functions that are nil are not called.
type node struct {
	mu           sync.Mutex
	connected    func(*amqp.Conn) error
	attach       func(*amqp.Link) (amqp.Terms, error)
	disconnected chan *amqp.Conn
}

func (n *node) Connected(c *amqp.Conn) error {
	if n.connected != nil {
		return n.connected(c)
	}
	return nil
}

func (n *node) Attach(_ context.Context, l *amqp.Link) (amqp.Terms, error) { return n.attach(l) }

func (n *node) Disconnected(c *amqp.Conn) {
	if n.disconnected != nil {
		n.disconnected <- c
	}
}

// accepting is what a link gets that has its messages accepted.
func accepting(deliver func(*amqp.Delivery)) amqp.Terms {
	return amqp.Terms{
		SenderMode: amqp.SenderMixed, Credit: 1000, MaxMessageSize: 1 << 20,
		Deliver: func(_ context.Context, d *amqp.Delivery) { deliver(d) },
	}
}

// start serves the handler and returns the address. All is over when the test is.
func start(t testing.TB, srv *amqp.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr string, o *client.ConnOptions) *client.Conn {
	t.Helper()
	c, err := client.Dial(testContext(t), "amqp://"+addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func session(t testing.TB, c *client.Conn) *client.Session {
	t.Helper()
	s, err := c.NewSession(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testContext is long enough for anything that is not stuck.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAMessageOfManyFramesArrivesWholeAndIsAccepted(t *testing.T) {
	got := make(chan *amqp.Delivery, 1)
	addr := start(t, &amqp.Server{Handler: &node{attach: func(*amqp.Link) (amqp.Terms, error) {
		return accepting(func(d *amqp.Delivery) { d.Settle(&amqp.Accepted{}); got <- d }), nil
	}}})
	s := session(t, dial(t, addr, &client.ConnOptions{MaxFrameSize: 4096}))
	snd, err := s.NewSender(testContext(t), "somewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 60000)
	if err := snd.Send(testContext(t), client.NewMessage(body), nil); err != nil {
		t.Fatal(err)
	}
	var m amqp.Message
	if err := m.Unmarshal((<-got).Data); err != nil {
		t.Fatal(err)
	}
	if len(m.Data) != 1 || !bytes.Equal(m.Data[0], body) {
		t.Fatalf("the body came as %d sections", len(m.Data))
	}
}

func TestARejectionReachesTheSenderWithItsCondition(t *testing.T) {
	addr := start(t, &amqp.Server{Handler: &node{attach: func(*amqp.Link) (amqp.Terms, error) {
		return accepting(func(d *amqp.Delivery) {
			d.Settle(&amqp.Rejected{Err: &amqp.Error{Condition: amqp.CondNotAllowed, Description: "no"}})
		}), nil
	}}})
	snd, err := session(t, dial(t, addr, nil)).NewSender(testContext(t), "x", nil)
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
	addr := start(t, &amqp.Server{Handler: &node{attach: func(*amqp.Link) (amqp.Terms, error) {
		return amqp.Terms{}, &amqp.Error{Condition: amqp.CondNotAllowed, Description: "Matching template not found"}
	}}})
	s := session(t, dial(t, addr, nil))
	_, sendErr := s.NewSender(testContext(t), "x", nil)
	_, receiveErr := s.NewReceiver(testContext(t), "x", nil)
	for _, err := range []error{sendErr, receiveErr} {
		if err == nil || !strings.Contains(err.Error(), "Matching template not found") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAMessageOverTheSizeLimitDetachesTheLink(t *testing.T) {
	addr := start(t, &amqp.Server{Handler: &node{attach: func(*amqp.Link) (amqp.Terms, error) {
		terms := accepting(func(d *amqp.Delivery) { d.Settle(&amqp.Accepted{}) })
		// The client keeps to what it is told, so it is told nothing.
		terms.MaxMessageSize = 0
		return terms, nil
	}}})
	// go-amqp refuses to send more than the server's limit, so the limit is the one
	// that it set itself.
	s := session(t, dial(t, addr, nil))
	snd, err := s.NewSender(testContext(t), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snd.Send(testContext(t), client.NewMessage(make([]byte, 2<<20)), nil); err != nil {
		t.Fatal(err)
	}
}

func TestOutgoingMessagesWaitForCredit(t *testing.T) {
	links := make(chan *amqp.Link, 1)
	addr := start(t, &amqp.Server{Handler: &node{attach: func(l *amqp.Link) (amqp.Terms, error) {
		links <- l
		return amqp.Terms{SenderMode: amqp.SenderMixed}, nil
	}}})
	s := session(t, dial(t, addr, &client.ConnOptions{MaxFrameSize: 1024}))
	r, err := s.NewReceiver(testContext(t), "x", &client.ReceiverOptions{Credit: -1})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(chan amqp.DeliveryState, 3)
	m := amqp.Message{Data: [][]byte{bytes.Repeat([]byte("x"), 5000)}}
	data, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := <-links
	for range 3 {
		if err := l.Send(&amqp.Outgoing{Data: data, Settled: func(o amqp.DeliveryState) { outcomes <- o }}); err != nil {
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
	if _, ok := (<-outcomes).(*amqp.Accepted); !ok {
		t.Error("the first was not accepted")
	}
	if _, ok := (<-outcomes).(*amqp.Released); !ok {
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
