package amqp

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"
)

// tape is a transport that plays bytes and takes any.
type tape struct{ in *bytes.Reader }

func (t tape) Read(b []byte) (int, error)       { return t.in.Read(b) }
func (t tape) Write(b []byte) (int, error)      { return len(b), nil }
func (t tape) Close() error                     { return nil }
func (t tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (t tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (t tape) SetDeadline(time.Time) error      { return nil }
func (t tape) SetReadDeadline(time.Time) error  { return nil }
func (t tape) SetWriteDeadline(time.Time) error { return nil }

// echo sends each message back on every link that takes messages, so that both
// directions have work.
func echo() *Server {
	var receivers []*Link
	return &Server{Handler: &node{attach: func(l *Link) (Terms, error) {
		if l.Address == "no" {
			return Terms{}, &Error{Condition: CondNotFound}
		}
		if !l.ClientSends {
			receivers = append(receivers, l)
			return Terms{SenderMode: SenderMixed}, nil
		}
		all := receivers
		terms := accepting(func(d *Delivery) {
			var m Message
			_ = m.Unmarshal(d.Data)
			for _, r := range all {
				_ = r.Send(&Outgoing{Data: d.Data})
			}
			d.Settle(&Accepted{})
		})
		return terms, nil
	}}}
}

func frames(bodies ...frameBody) []byte {
	var b []byte
	for _, body := range bodies {
		b = appendFrame(b, frameAMQP, 0, body)
	}
	return b
}

// FuzzConnection plays a client's bytes after a good start. Whatever they are, the
// server ends in good order and takes memory in proportion.
func FuzzConnection(f *testing.F) {
	part := transfer(0, []byte("part"))
	part.More = true
	f.Add(frames(&Begin{IncomingWindow: 10}, receiverAttach("r", 1), flowFor(1, 0, 10), senderAttach("s", 0),
		part, &Transfer{Payload: []byte("end")}, &Disposition{Receiver: true, Settled: true, State: &Accepted{}},
		&Detach{Handle: 0, Closed: true}, &End{}, &Close{}))
	f.Add(frames(&Begin{}, senderAttach("s", 0), part, &Transfer{Aborted: true}, &Close{}))
	f.Add(frames(&Begin{}, senderAttach("s", 0), senderAttach("s", 0)))
	drain := flowFor(1, 0, 10)
	drain.Drain, drain.Echo = true, true
	f.Add(frames(&Begin{IncomingWindow: 1}, receiverAttach("r", 1), drain, &Flow{Echo: true}))
	for _, p := range performatives() {
		f.Add(frames(&Begin{IncomingWindow: 10}, receiverAttach("r", 0), senderAttach("s", 1), p))
	}
	head := protocolHeader(protoAMQP)
	opening := appendFrame(head[:], frameAMQP, 0, &Open{ContainerID: "c", MaxFrame: 1024})
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		stream := append(bytes.Clone(opening), data...)
		_ = echo().ServeConn(context.Background(), tape{bytes.NewReader(stream)})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20+uint64(len(data))*4096 {
			t.Fatalf("%d bytes of memory for %d of data", used, len(data))
		}
	})
}

// FuzzHandshake plays a client's bytes from the first.
func FuzzHandshake(f *testing.F) {
	sasl, plain := protocolHeader(protoSASL), protocolHeader(protoAMQP)
	f.Add(append(plain[:], frames(&Open{ContainerID: "c", MaxFrame: 512}, &Close{})...))
	withSASL := appendFrame(sasl[:], frameSASL, 0, &saslInit{Mechanism: "PLAIN", Response: []byte("\x00u\x00p")})
	f.Add(append(append(withSASL, plain[:]...), frames(&Open{MaxFrame: 1 << 20})...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		srv := echo()
		srv.Plain = func(string, string) error { return nil }
		_ = srv.ServeConn(context.Background(), tape{bytes.NewReader(data)})
	})
}
