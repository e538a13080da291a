package amqp

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestOpenTellsTheLimitsOfTheHub(t *testing.T) {
	addr := start(t, &Server{Handler: &node{attach: anyTerms}, ContainerID: "DeviceGateway_1"})
	r := rawDial(t, addr)
	r.header(protoAMQP)
	r.send(0, &Open{ContainerID: "raw", MaxFrame: 512})
	o := expect[*Open](r)
	if o.ContainerID != "DeviceGateway_1" || o.MaxFrame != 65536 || o.ChannelMax != 8191 || o.IdleTimeout != 240000 {
		t.Errorf("open %+v", o)
	}
	r.send(0, &Close{})
	if c := expect[*Close](r); c.Err != nil {
		t.Errorf("close %v", c.Err)
	}
	r.ended()
}

func TestAnOpenThatCannotBeMetIsRefused(t *testing.T) {
	addr := start(t, handling(anyTerms))
	for name, o := range map[string]*Open{
		"idle time-out too short": {ContainerID: "raw", MaxFrame: 65536, IdleTimeout: 4999},
		"frames too small":        {ContainerID: "raw", MaxFrame: 511},
	} {
		t.Run(name, func(t *testing.T) {
			r := rawDial(t, addr)
			r.header(protoAMQP)
			r.send(0, o)
			expect[*Open](r)
			if c := expect[*Close](r); c.Err == nil || c.Err.Condition != CondNotAllowed {
				t.Errorf("close %v", c.Err)
			}
			r.ended()
		})
	}
}

func TestAWrongProtocolHeaderIsAnsweredWithTheRightOne(t *testing.T) {
	addr := start(t, handling(anyTerms))
	for _, head := range []string{"GET / HT", "AMQP\x00\x00\x09\x01", "AMQP\x02\x01\x00\x00"} {
		r := rawDial(t, addr)
		r.write([]byte(head))
		if proto, err := r.in.header(); err != nil || proto != protoAMQP {
			t.Errorf("%q: protocol %d, %v", head, proto, err)
		}
		r.ended()
	}
}

func TestSASLTakesTheMechanismsAndRefusesTheRest(t *testing.T) {
	srv := handling(anyTerms)
	srv.Plain = func(user, password string) error {
		if user != "u" || password != "p" {
			return errors.New("wrong password")
		}
		return nil
	}
	addr := start(t, srv)
	cases := []struct {
		mechanism Symbol
		response  string
		code      uint8
	}{
		{"ANONYMOUS", "", saslOK}, {"MSSBCBS", "", saslOK}, {"PLAIN", "\x00u\x00p", saslOK},
		{"PLAIN", "\x00u\x00q", saslAuth}, {"PLAIN", "u", saslAuth}, {"EXTERNAL", "", saslAuth},
	}
	for _, c := range cases {
		t.Run(string(c.mechanism)+" "+c.response, func(t *testing.T) {
			r := rawDial(t, addr)
			r.header(protoSASL)
			if _, _, _, err := r.in.next(); err != nil {
				t.Fatal(err)
			}
			r.write(appendFrame(nil, frameSASL, 0, &saslInit{Mechanism: c.mechanism, Response: []byte(c.response)}))
			_, _, body, err := r.in.next()
			if err != nil || !bytes.Equal(body, (&saslOutcome{Code: c.code}).append(nil)) {
				t.Fatalf("outcome %x, %v", body, err)
			}
			if c.code != saslOK {
				r.ended()
				return
			}
			r.header(protoAMQP)
			r.send(0, &Open{ContainerID: "raw", MaxFrame: 65536})
			expect[*Open](r)
		})
	}
}

func TestTheAttachAnswerCarriesTheTermsAndTheCredit(t *testing.T) {
	addr := start(t, handling(func(*Link) (Terms, error) {
		return Terms{SenderMode: SenderSettled, ReceiverMode: ReceiverSecond, Credit: 1000, MaxMessageSize: 1 << 20}, nil
	}))
	r := begin(t, addr)
	a := senderAttach("l", 3)
	a.MaxMessageSize = Some(uint64(1000))
	r.send(0, a)
	answer := expect[*Attach](r)
	if answer.Name != "l" || !answer.Receiver || answer.SenderMode != SenderSettled ||
		answer.ReceiverMode != ReceiverSecond || answer.MaxMessageSize != Some(uint64(1000)) || answer.Target.Address != "/x" {
		t.Errorf("attach %+v", answer)
	}
	if f := expect[*Flow](r); f.Handle != Some(answer.Handle) || f.LinkCredit != Some(uint32(1000)) {
		t.Errorf("flow %+v", f)
	}
	r.send(0, receiverAttach("m", 4))
	if a := expect[*Attach](r); a.Receiver || a.InitialDeliveryCount != Some(uint32(0)) || a.MaxMessageSize.Value != 1<<20 {
		t.Errorf("attach %+v", a)
	}
}

func TestCreditComesBackAfterAHundredSettledAndNotWithout(t *testing.T) {
	addr := start(t, handling(anyTerms))
	r := begin(t, addr)
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	expect[*Flow](r)
	for id := range uint32(100) {
		r.send(0, transfer(id, []byte("x")))
	}
	settled := 0
	for {
		switch p := r.next().(type) {
		case *Disposition:
			settled++
			if p.First != uint32(settled-1) || !p.Receiver || !p.Settled {
				t.Fatalf("disposition %+v", p)
			}
		case *Flow:
			// 1000 left from 1000 granted, 100 consumed and all of them settled.
			if p.LinkCredit.Value+p.DeliveryCount.Value < 1100-1 || settled < 100 {
				t.Fatalf("after %d: flow %+v", settled, p)
			}
			return
		}
	}
}

func TestATransferBeyondTheCreditDetachesTheLink(t *testing.T) {
	addr := start(t, handling(func(*Link) (Terms, error) {
		terms := deliverNothing(accepting(nil))
		terms.Credit = 3
		return terms, nil
	}))
	r := begin(t, addr)
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	for id := range uint32(4) {
		r.send(0, transfer(id, []byte("x")))
	}
	d := expect[*Detach](r)
	if !d.Closed || d.Err == nil || d.Err.Condition != CondTransferLimit {
		t.Errorf("detach %+v", d)
	}
	// The name and the handle are free again after the client's detach.
	r.send(0, transfer(5, nil), &Detach{Handle: 0, Closed: true}, senderAttach("l", 0))
	expect[*Attach](r)
}

func TestAMessageOverTheLimitDetachesTheLinkInTheMiddle(t *testing.T) {
	addr := start(t, handling(func(*Link) (Terms, error) {
		terms := accepting(nil)
		terms.MaxMessageSize = 1000
		return terms, nil
	}))
	r := begin(t, addr)
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	part := transfer(0, make([]byte, 600))
	part.More = true
	r.send(0, part, part)
	if d := expect[*Detach](r); d.Err == nil || d.Err.Condition != CondMessageSize || !d.Closed {
		t.Errorf("detach %+v", d)
	}
}

func TestAnAbortedMessageIsNotDeliveredAndCostsNothing(t *testing.T) {
	got := make(chan []byte, 2)
	addr := start(t, handling(func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) { got <- d.Data; d.Settle(&Accepted{}) }), nil
	}))
	r := begin(t, addr)
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	first := transfer(0, []byte("lost"))
	first.More = true
	r.send(0, first, &Transfer{Aborted: true}, transfer(1, []byte("kept")))
	if d := expect[*Disposition](r); d.First != 1 {
		t.Errorf("disposition %+v", d)
	}
	if data := <-got; string(data) != "kept" {
		t.Errorf("delivered %q", data)
	}
}

func TestPresettledMessagesAreDeliveredWithoutAnswer(t *testing.T) {
	got := make(chan bool, 2)
	addr := start(t, handling(func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) { d.Settle(&Accepted{}); got <- d.Presettled }), nil
	}))
	r := begin(t, addr)
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	settled := transfer(0, []byte("a"))
	settled.Settled = Some(true)
	r.send(0, settled, transfer(1, []byte("b")))
	if d := expect[*Disposition](r); d.First != 1 {
		t.Errorf("disposition %+v", d)
	}
	if !<-got || <-got {
		t.Error("the wrong one was pre-settled")
	}
}

func TestWhatCameBeforeAnOrderlyCloseIsStillHandled(t *testing.T) {
	got := make(chan struct{}, 20)
	addr := start(t, handling(func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) { got <- struct{}{}; d.Settle(&Accepted{}) }), nil
	}))
	r := begin(t, addr)
	frames := []frameBody{senderAttach("l", 0)}
	for id := range uint32(20) {
		tr := transfer(id, []byte("a"))
		tr.Settled = Some(true)
		frames = append(frames, tr)
	}
	r.send(0, append(frames, &Detach{Handle: 0, Closed: true}, &End{}, &Close{})...)
	for range 20 {
		<-got
	}
}

func TestSessionErrorsEndTheSessionOnly(t *testing.T) {
	cases := []struct {
		name      string
		frames    []frameBody
		condition Symbol
	}{
		{"transfer without a link", []frameBody{transfer(0, nil)}, CondUnattached},
		{"flow without a link", []frameBody{&Flow{Handle: Some(uint32(9))}}, CondUnattached},
		{"detach without a link", []frameBody{&Detach{Handle: 9}}, CondUnattached},
		{"handle twice", []frameBody{senderAttach("a", 0), senderAttach("b", 0)}, CondHandleInUse},
		{"transfer from a receiver", []frameBody{receiverAttach("a", 0), transfer(0, nil)}, CondNotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := begin(t, start(t, handling(anyTerms)))
			r.send(0, c.frames...)
			p := r.next()
			for end, ok := p.(*End); ; end, ok = p.(*End) {
				if ok {
					if end.Err == nil || end.Err.Condition != c.condition {
						t.Errorf("end %v", end.Err)
					}
					break
				}
				p = r.next()
			}
			// What the client said before it heard of the end is passed over.
			r.send(0, transfer(7, nil), &End{}, &Begin{IncomingWindow: 1, OutgoingWindow: 1})
			expect[*Begin](r)
		})
	}
}

func TestTheWindowOpensAgainBeforeItIsUsedUp(t *testing.T) {
	got := make(chan int, 1)
	r := begin(t, start(t, handling(func(*Link) (Terms, error) {
		return accepting(func(d *Delivery) { got <- len(d.Data) }), nil
	})))
	r.send(0, senderAttach("l", 0))
	expect[*Attach](r)
	left, sent := window, 0
	for sent < 3*window {
		part := transfer(0, []byte("x"))
		part.More = sent < 3*window-1
		r.send(0, part)
		sent++
		for left--; left == 0; {
			if f, ok := r.next().(*Flow); ok && f.NextIncomingID.Set {
				left = int(f.NextIncomingID.Value+f.IncomingWindow) - sent
			}
		}
	}
	if n := <-got; n != 3*window {
		t.Errorf("%d bytes came", n)
	}
}

func TestErrorsOfFramesCloseTheConnection(t *testing.T) {
	cases := []struct {
		name      string
		bytes     []byte
		condition Symbol
	}{
		{"frame of no sense", []byte{0, 0, 0, 2, 2, 0, 0, 0}, CondFraming},
		{"sasl after open", appendFrame(nil, frameSASL, 0, &saslInit{Mechanism: "X"}), CondFraming},
		{"body of no sense", []byte{0, 0, 0, 9, 2, 0, 0, 0, 0x99}, CondDecode},
		{"begin on a channel over the maximum", appendFrame(nil, frameAMQP, 9000, &Begin{}), CondFraming},
		{"session that was not begun", appendFrame(nil, frameAMQP, 5, &Flow{}), CondNotAllowed},
		{"begin twice", appendFrame(nil, frameAMQP, 0, &Begin{}), CondNotAllowed},
		{"open twice", appendFrame(nil, frameAMQP, 0, &Open{}), CondNotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := begin(t, start(t, handling(anyTerms)))
			r.write(c.bytes)
			if cl := expect[*Close](r); cl.Err == nil || cl.Err.Condition != c.condition {
				t.Errorf("close %v", cl.Err)
			}
			r.ended()
		})
	}
}

func TestALinkNameIsUniqueInItsSessionWhateverTheRole(t *testing.T) {
	r := begin(t, start(t, handling(anyTerms)))
	r.send(0, senderAttach("same", 0), receiverAttach("same", 1))
	expect[*Attach](r)
	if a := expect[*Attach](r); a.Source != nil {
		t.Errorf("the second has a source: %+v", a)
	}
	if d := expect[*Detach](r); d.Handle != 1 || d.Err == nil || d.Err.Condition != CondResourceLocked {
		t.Errorf("detach %+v", d)
	}
	r.send(0, &Detach{Handle: 1, Closed: true}, transfer(0, []byte("x")))
	expect[*Disposition](r)
}

func TestALinkToACoordinatorIsRefused(t *testing.T) {
	r := begin(t, start(t, handling(anyTerms)))
	a := senderAttach("tx", 0)
	a.Target = nil
	r.send(0, a)
	expect[*Attach](r)
	if d := expect[*Detach](r); d.Err == nil || d.Err.Condition != CondNotImplemented {
		t.Errorf("detach %+v", d)
	}
}

func TestASilentClientIsClosed(t *testing.T) {
	srv := handling(anyTerms)
	srv.IdleTimeout = 50 * time.Millisecond
	r := open(t, start(t, srv))
	if c := expect[*Close](r); c.Err == nil || c.Err.Condition != CondResourceLimit {
		t.Errorf("close %v", c.Err)
	}
}

func TestShutdownTellsClientsToComeBackLater(t *testing.T) {
	srv := handling(anyTerms)
	connected := make(chan *Conn, 1)
	srv.Handler.(*node).connected = func(c *Conn) error { connected <- c; return nil }
	var r *raw
	t.Run("serve", func(t *testing.T) {
		r = rawDial(t, start(t, srv))
		r.t = t
		r.header(protoAMQP)
		r.send(0, &Open{ContainerID: "raw", MaxFrame: 65536})
		expect[*Open](r)
		(<-connected).shutdown()
		if c := expect[*Close](r); c.Err == nil || c.Err.Condition != CondDetachForced {
			t.Errorf("close %v", c.Err)
		}
		r.send(0, &Close{})
		r.ended()
	})
}

func TestAHandlerMayRefuseTheConnection(t *testing.T) {
	srv := handling(anyTerms)
	srv.Handler.(*node).connected = func(*Conn) error { return errors.New("not today") }
	r := open(t, start(t, srv))
	if c := expect[*Close](r); c.Err == nil || c.Err.Condition != CondInternal || c.Err.Description != "not today" {
		t.Errorf("close %v", c.Err)
	}
}
