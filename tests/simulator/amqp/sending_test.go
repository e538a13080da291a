package amqp

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// receiving begins a session, attaches a receiving client and returns our link.
func receiving(t *testing.T, terms Terms, a *Attach) (*raw, *Link) {
	t.Helper()
	links := make(chan *Link, 1)
	r := begin(t, start(t, handling(func(l *Link) (Terms, error) { links <- l; return terms, nil })))
	r.send(0, a)
	expect[*Attach](r)
	return r, <-links
}

func flowFor(handle, count, credit uint32) *Flow {
	return &Flow{NextIncomingID: Some(uint32(0)), IncomingWindow: 100, Handle: Some(handle),
		DeliveryCount: Some(count), LinkCredit: Some(credit)}
}

func TestADispositionOfARangeSettlesEachOnce(t *testing.T) {
	r, l := receiving(t, Terms{SenderMode: SenderMixed}, receiverAttach("l", 0))
	got := make(chan string, 10)
	for i := range 5 {
		o := &Outgoing{Data: []byte("m"), Settled: func(s DeliveryState) { got <- fmt.Sprintf("%d %T", i, s) }}
		if err := l.Send(o); err != nil {
			t.Fatal(err)
		}
	}
	r.send(0, flowFor(0, 0, 5))
	for range 5 {
		expect[*Transfer](r)
	}
	r.send(0,
		&Disposition{Receiver: true, First: 0, State: &Received{}}, // says nothing yet
		&Disposition{Receiver: true, First: 1, Last: Some(uint32(3)), Settled: true, State: &Accepted{}},
		&Disposition{Receiver: true, First: 0, Last: Some(uint32(1 << 30)), Settled: true, State: &Rejected{}},
		&Disposition{Receiver: true, First: 0, Last: Some(uint32(4)), Settled: true, State: &Released{}},
		&Disposition{First: 0, Last: Some(uint32(1<<32 - 1)), Settled: true})
	want := map[string]bool{"1 *amqp.Accepted": true, "2 *amqp.Accepted": true, "3 *amqp.Accepted": true,
		"0 *amqp.Rejected": true, "4 *amqp.Rejected": true}
	for range 5 {
		if s := <-got; !want[s] {
			t.Errorf("settled %s", s)
		}
	}
}

func TestAClientOfTheModeSecondIsSettledByTheServer(t *testing.T) {
	r, l := receiving(t, Terms{SenderMode: SenderMixed, ReceiverMode: ReceiverSecond}, receiverAttach("l", 0))
	got := make(chan DeliveryState, 1)
	if err := l.Send(&Outgoing{Data: []byte("m"), Settled: func(s DeliveryState) { got <- s }}); err != nil {
		t.Fatal(err)
	}
	r.send(0, flowFor(0, 0, 1))
	id := expect[*Transfer](r).DeliveryID.Value
	r.send(0, &Disposition{Receiver: true, First: id, State: &Accepted{}})
	d := expect[*Disposition](r)
	if _, ok := d.State.(*Accepted); !ok || d.Receiver || !d.Settled || d.First != id {
		t.Errorf("disposition %+v", d)
	}
	if _, ok := (<-got).(*Accepted); !ok {
		t.Error("not accepted")
	}
}

func TestTheClientsWindowIsKept(t *testing.T) {
	r, l := receiving(t, Terms{SenderMode: SenderSettled}, receiverAttach("l", 0))
	done := make(chan struct{})
	big := bytes.Repeat([]byte("x"), 300000)
	if err := l.Send(&Outgoing{Data: big, Settled: func(DeliveryState) { close(done) }}); err != nil {
		t.Fatal(err)
	}
	narrow := flowFor(0, 0, 1)
	narrow.IncomingWindow = 2
	r.send(0, narrow)
	got := append(expect[*Transfer](r).Payload, expect[*Transfer](r).Payload...)
	select {
	case <-done:
		t.Fatal("all was sent")
	default:
	}
	// An echo shows that nothing else is on its way.
	r.send(0, &Flow{NextIncomingID: Some(uint32(2)), Echo: true})
	if f, ok := r.next().(*Flow); !ok || f.NextOutgoingID != 2 {
		t.Fatalf("got %+v", f)
	}
	r.send(0, &Flow{NextIncomingID: Some(uint32(2)), IncomingWindow: 100})
	for more := true; more; {
		tr := expect[*Transfer](r)
		got, more = append(got, tr.Payload...), tr.More
	}
	if !bytes.Equal(got, big) {
		t.Errorf("%d bytes came", len(got))
	}
	<-done
}

func TestDrainUsesTheCreditUp(t *testing.T) {
	r, l := receiving(t, Terms{SenderMode: SenderSettled}, receiverAttach("l", 0))
	if err := l.Send(&Outgoing{Data: []byte("one")}); err != nil {
		t.Fatal(err)
	}
	drain := flowFor(0, 0, 10)
	drain.Drain = true
	r.send(0, drain)
	expect[*Transfer](r)
	if f := expect[*Flow](r); !f.Drain || f.LinkCredit.Value != 0 || f.DeliveryCount.Value != 10 {
		t.Errorf("flow %+v", f)
	}
	drain = flowFor(0, 10, 0)
	drain.NextIncomingID, drain.Drain = Some(uint32(1)), true
	r.send(0, drain)
	if f := expect[*Flow](r); !f.Drain || f.DeliveryCount.Value != 10 {
		t.Errorf("flow %+v", f)
	}
}

func TestWhatCannotBeSentIsRefusedAtOnce(t *testing.T) {
	small := receiverAttach("l", 0)
	small.MaxMessageSize = Some(uint64(10))
	r, l := receiving(t, Terms{SenderMode: SenderSettled}, small)
	if err := l.Send(&Outgoing{Data: make([]byte, 11)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for range maxWaiting {
		if err := l.Send(&Outgoing{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Send(&Outgoing{}); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	l.Detach(&Error{Condition: CondDetachForced})
	if d := expect[*Detach](r); d.Err.Condition != CondDetachForced {
		t.Errorf("detach %+v", d)
	}
	if err := l.Send(&Outgoing{}); !errors.Is(err, ErrGone) {
		t.Errorf("gone: %v", err)
	}
}

func TestALostConnectionTellsWhatWasNotSettled(t *testing.T) {
	lost, detached := make(chan DeliveryState, 2), make(chan struct{})
	r, l := receiving(t, Terms{SenderMode: SenderMixed, Detached: func() { close(detached) }}, receiverAttach("l", 0))
	for range 2 {
		if err := l.Send(&Outgoing{Data: []byte("m"), Settled: func(s DeliveryState) { lost <- s }}); err != nil {
			t.Fatal(err)
		}
	}
	r.send(0, flowFor(0, 0, 1))
	expect[*Transfer](r)
	l.Conn().Drop()
	for range 2 {
		if s := <-lost; s != nil {
			t.Errorf("settled %T", s)
		}
	}
	<-detached
	r.ended()
}
