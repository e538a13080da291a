package amqp

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// delayer is a node whose links wait as their names say.
type delayer struct {
	node
	delays map[string]time.Duration
}

func (d *delayer) Delay(l *Link) (time.Duration, error) {
	if strings.HasPrefix(l.Name, "refused") {
		return time.Hour, errors.New("no")
	}
	return d.delays[l.Name], nil
}

// delaying serves links called later, after a moment, and never, which nobody lives to see.
func delaying(t *testing.T) (*raw, *atomic.Int32) {
	t.Helper()
	attached := new(atomic.Int32)
	addr := start(t, &Server{Handler: &delayer{
		node: node{attach: func(l *Link) (Terms, error) {
			attached.Add(1)
			return anyTerms(l)
		}},
		delays: map[string]time.Duration{"later": 50 * time.Millisecond, "never": time.Hour},
	}, CloseGrace: 200 * time.Millisecond})
	return begin(t, addr), attached
}

func TestALinkThatWaitsKeepsNobodyElse(t *testing.T) {
	r, _ := delaying(t)
	r.send(0, senderAttach("later", 0), senderAttach("now", 1))
	if a := expect[*Attach](r); a.Name != "now" {
		t.Fatalf("attach of %s came first", a.Name)
	}
	r.send(0, &Transfer{Handle: 1, DeliveryID: Some(uint32(0)), Tag: []byte{1}, Payload: []byte("x")})
	seen := map[string]bool{}
	for !seen["later"] || !seen["settled"] {
		switch p := r.next().(type) {
		case *Attach:
			seen[p.Name] = true
		case *Disposition:
			seen["settled"] = true
		}
	}
	r.send(0, &Transfer{DeliveryID: Some(uint32(1)), Tag: []byte{2}, Payload: []byte("x")})
	if d := expect[*Disposition](r); d.First != 1 {
		t.Errorf("disposition %+v", d)
	}
}

func TestCreditThatComesBeforeTheAttachIsKept(t *testing.T) {
	links := make(chan *Link, 1)
	addr := start(t, &Server{Handler: &delayer{
		node:   node{attach: func(l *Link) (Terms, error) { links <- l; return Terms{SenderMode: SenderMixed}, nil }},
		delays: map[string]time.Duration{"later": 20 * time.Millisecond},
	}})
	r := begin(t, addr)
	r.send(0, receiverAttach("later", 0), &Flow{
		NextIncomingID: Some(uint32(0)), IncomingWindow: 100, OutgoingWindow: 100,
		Handle: Some(uint32(0)), DeliveryCount: Some(uint32(0)), LinkCredit: Some(uint32(1)), Echo: true,
	})
	l := <-links
	if err := l.Send(&Outgoing{Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.next().(*Attach); !ok {
		t.Fatal("something was said of the link before its attach")
	}
	expect[*Transfer](r)
}

func TestALinkThatIsGivenUpWhileItWaitsIsNeverAttached(t *testing.T) {
	r, attached := delaying(t)
	r.send(0, senderAttach("never", 0), senderAttach("never", 1))
	if a := expect[*Attach](r); a.Handle != 1 || a.Target != nil {
		t.Fatalf("attach %+v", a)
	}
	if d := expect[*Detach](r); d.Err == nil || d.Err.Condition != CondResourceLocked {
		t.Fatalf("the name of a link that waits is free: %v", d.Err)
	}
	r.send(0, &Detach{Handle: 0, Closed: true}, senderAttach("now", 0))
	if d := expect[*Detach](r); d.Err != nil || d.Handle != 0 {
		t.Errorf("detach %+v", d)
	}
	expect[*Attach](r)
	r.send(0, &Detach{Handle: 1, Closed: true}, senderAttach("never", 1), &Close{})
	if c := expect[*Close](r); c.Err != nil {
		t.Errorf("close %v", c.Err)
	}
	r.ended()
	if n := attached.Load(); n != 1 {
		t.Errorf("%d links were attached", n)
	}
}

func TestALinkMayBeRefusedBeforeItWaits(t *testing.T) {
	r, attached := delaying(t)
	r.send(0, senderAttach("refused", 0))
	expect[*Attach](r)
	if d := expect[*Detach](r); d.Err == nil || d.Err.Description != "no" {
		t.Errorf("detach %+v", d)
	}
	r.send(0, &Detach{Handle: 0, Closed: true}, senderAttach("never", 0), transfer(0, []byte("x")))
	if e := expect[*End](r); e.Err == nil || e.Err.Condition != CondNotAllowed {
		t.Errorf("a transfer before the attach: %v", e.Err)
	}
	if attached.Load() != 0 {
		t.Error("the handler was asked about it")
	}
}
