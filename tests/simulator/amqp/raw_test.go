package amqp

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// raw is a client that says exactly what a test wants.
type raw struct {
	t    testing.TB
	conn net.Conn
	in   *frameReader
}

func rawDial(tb testing.TB, addr string) *raw {
	tb.Helper()
	nc, err := new(net.Dialer).DialContext(testContext(tb), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return &raw{t: tb, conn: nc, in: newFrameReader(nc, maxFrame)}
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) header(proto byte) {
	r.t.Helper()
	head := protocolHeader(proto)
	r.write(head[:])
	got, err := r.in.header()
	if err != nil || got != proto {
		r.t.Fatalf("header of protocol %d, %v", got, err)
	}
}

func (r *raw) send(channel uint16, bodies ...frameBody) {
	r.t.Helper()
	var b []byte
	for _, body := range bodies {
		b = appendFrame(b, frameAMQP, channel, body)
	}
	r.write(b)
}

// next returns the next performative that is no heartbeat.
func (r *raw) next() any {
	r.t.Helper()
	for {
		_, _, body, err := r.in.next()
		if err != nil {
			r.t.Fatalf("read: %v", err)
		}
		if len(body) == 0 {
			continue
		}
		p, err := parseBody(body)
		if err != nil {
			r.t.Fatalf("parse: %v", err)
		}
		return p
	}
}

// expect returns the next performative of one kind; flows before it are passed over.
func expect[T any](r *raw) T {
	r.t.Helper()
	for {
		p := r.next()
		if want, ok := p.(T); ok {
			return want
		}
		if _, ok := p.(*Flow); !ok {
			r.t.Fatalf("got %T %+v, want %T", p, p, *new(T))
		}
	}
}

// ended checks that the server hangs up, at once or after heartbeats.
func (r *raw) ended() {
	r.t.Helper()
	for {
		_, _, body, err := r.in.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), len(body) > 0:
			r.t.Fatalf("the connection goes on: %x %v", body, err)
		case err != nil:
			return
		}
	}
}

// open dials and opens with the usual terms.
func open(tb testing.TB, addr string) *raw {
	tb.Helper()
	r := rawDial(tb, addr)
	r.header(protoAMQP)
	r.send(0, &Open{ContainerID: "raw", MaxFrame: 65536, ChannelMax: 10})
	expect[*Open](r)
	return r
}

// begin starts a session on channel 0.
func begin(tb testing.TB, addr string) *raw {
	tb.Helper()
	r := open(tb, addr)
	r.send(0, &Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10})
	if b := expect[*Begin](r); b.RemoteChannel != Some(uint16(0)) || b.IncomingWindow != window || b.HandleMax != handleMax {
		tb.Fatalf("begin %+v", b)
	}
	return r
}

func senderAttach(name string, handle uint32) *Attach {
	return &Attach{Name: name, Handle: handle, SenderMode: SenderMixed, Source: &Source{}, Target: &Target{Address: "/x"},
		InitialDeliveryCount: Some(uint32(0))}
}

func receiverAttach(name string, handle uint32) *Attach {
	return &Attach{Name: name, Handle: handle, Receiver: true, SenderMode: SenderMixed,
		Source: &Source{Address: "/x"}, Target: &Target{}}
}

func transfer(id uint32, payload []byte) *Transfer {
	return &Transfer{DeliveryID: Some(id), Tag: []byte{byte(id)}, Payload: payload}
}

// anyTerms attaches every link and accepts every message.
func anyTerms(*Link) (Terms, error) {
	return accepting(func(d *Delivery) { d.Settle(&Accepted{}) }), nil
}

func handling(attach func(*Link) (Terms, error)) *Server {
	return &Server{Handler: &node{attach: attach}, CloseGrace: 200 * time.Millisecond}
}

// deliverNothing takes messages and never settles them.
func deliverNothing(terms Terms) Terms {
	terms.Deliver = func(context.Context, *Delivery) {}
	return terms
}
