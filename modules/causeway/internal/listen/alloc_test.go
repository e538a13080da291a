package listen

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// udpPair is one UDP device at a listener that answers each datagram.
func udpPair(tb testing.TB) (conn net.Conn, roundTrip func()) {
	tb.Helper()
	h := handlerFuncs{peer: func(k *Link) Receiver { return &answering{link: k, answer: []byte{1}} }}
	l := serve(tb, Options{Network: "udp"}, h)
	conn = dial(tb, l)
	if err := conn.SetDeadline(time.Time{}); err != nil {
		tb.Fatal(err)
	}
	datagram, buf := make([]byte, 100), make([]byte, 16)
	return conn, func() {
		if _, err := conn.Write(datagram); err != nil {
			tb.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			tb.Fatal(err)
		}
	}
}

type answering struct {
	link   *Link
	answer []byte
}

func (a *answering) Datagram([]byte, time.Time) { _ = a.link.Send(a.answer) }
func (a *answering) Gone(string)                {}

// tcpPair is one TCP device at a listener that answers each read.
func tcpPair(tb testing.TB) (roundTrip func()) {
	tb.Helper()
	l := serve(tb, Options{}, handlerFuncs{stream: func(_ context.Context, k *Link) {
		buf, answer := make([]byte, 4096), []byte{1}
		for {
			if _, err := k.Read(buf); err != nil {
				return
			}
			_ = k.Send(answer)
		}
	}})
	conn := dial(tb, l)
	if err := conn.SetDeadline(time.Time{}); err != nil {
		tb.Fatal(err)
	}
	frame, buf := make([]byte, 100), make([]byte, 1)
	return func() {
		if _, err := conn.Write(frame); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("allocations are counted without the race detector only")
		return
	}
	_, udp := udpPair(t)
	for name, roundTrip := range map[string]func(){"udp": udp, "tcp": tcpPair(t)} {
		roundTrip() // the peer is new, the queue is not pooled yet
		if n := testing.AllocsPerRun(1000, roundTrip); n >= 1 {
			t.Errorf("%s: %v allocations a message and its answer, want none", name, n)
		}
	}
}

func BenchmarkUDPRoundTrip(b *testing.B) {
	_, roundTrip := udpPair(b)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip()
	}
}

func BenchmarkTCPRoundTrip(b *testing.B) {
	roundTrip := tcpPair(b)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip()
	}
}

// BenchmarkSend measures queueing alone; the device reads everything away.
func BenchmarkSend(b *testing.B) {
	h, links := streams()
	l := serve(b, Options{SendBuffer: 1 << 30}, h)
	conn := dial(b, l)
	if err := conn.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, conn)
	}()
	k := receive(b, links, "link")
	ack := []byte{0, 0, 0, 1}
	b.ReportAllocs()
	for b.Loop() {
		if err := k.Send(ack); err != nil {
			b.Fatal(err)
		}
	}
	k.Close("over")
	<-drained
}

// BenchmarkDatagrams measures the read loop alone, with as many datagrams on
// their way as the socket's buffer holds for certain.
func BenchmarkDatagrams(b *testing.B) {
	const window = 64
	taken := make(chan struct{}, window)
	h := handlerFuncs{peer: func(*Link) Receiver {
		return receiverFuncs{datagram: func([]byte, time.Time) { taken <- struct{}{} }}
	}}
	conn := dial(b, serve(b, Options{Network: "udp"}, h))
	if err := conn.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	datagram := make([]byte, 120)
	outstanding := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(datagram); err != nil {
			b.Fatal(err)
		}
		if outstanding++; outstanding == window {
			<-taken
			outstanding--
		}
	}
	for ; outstanding > 0; outstanding-- {
		<-taken
	}
}
