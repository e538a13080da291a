package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

var errTooLarge = fmt.Errorf("%w: too large", message.ErrRefused)

func TestAcknowledgementWaitsForEveryMessageOfItsFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a b\n")
		d.heard("")
		r.uplink.settle(t, "b", nil)
		d.heard("")
		r.uplink.settle(t, "a", nil)
		d.heard("ack a\n")
		r.faults(t)
		if r.observer.positive != 1 || r.observer.sent != 2 || r.observer.frames != 1 {
			t.Errorf("counted %+v", r.observer)
		}
	})
}

func TestAcknowledgementsLeaveInTheOrderOfTheFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\ndata b\nping\ndata c\n")
		r.uplink.settle(t, "c", nil)
		r.uplink.settle(t, "b", nil)
		d.heard("") // pong, too, waits for its elders
		r.uplink.settle(t, "a", nil)
		d.heard("ack a\nack b\npong\nack c\n")
		d.say("ping\n")
		d.heard("ack a\nack b\npong\nack c\npong\n")
	})
}

func TestWhatIsNotStoredIsNotAcknowledged(t *testing.T) {
	cases := []struct {
		name, say string
		refuse    func(body string) error
		settle    map[string]error
		want      string
		faults    []FaultKind
	}{
		{"refused by the hub", "data a b\n", nil, map[string]error{"a": nil, "b": errTooLarge}, "nak a\n",
			[]FaultKind{FaultRefused}},
		{"refused by the hub, without a word for it", "silent a\n", nil, map[string]error{"a": errTooLarge}, "",
			[]FaultKind{FaultRefused}},
		{"refused at once", "data a b\n", refuse("a", errTooLarge), map[string]error{"b": nil}, "nak a\n",
			[]FaultKind{FaultRefused}},
		{"not handed over", "data a b c\n", refuse("b", message.ErrClosed), nil, "", nil},
		{"given back by the hub", "data a\n", nil, map[string]error{"a": message.ErrClosed}, "", nil},
		{"refused, and another given back", "data a b\n", nil,
			map[string]error{"a": errTooLarge, "b": message.ErrClosed}, "", []FaultKind{FaultRefused}},
		{"lost without a word of acknowledgement", "note a b\n", refuse("a", message.ErrClosed), nil, "",
			[]FaultKind{FaultDropped}},
		{"a device id that cannot travel", "from de\x01vice a\n", nil, nil, "", []FaultKind{FaultIdentity}},
		{"a message of a device that may not come in", "from stranger a\n", nil, nil, "", []FaultKind{FaultIdentity}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.uplink.refusing = c.refuse
				d := r.connect(t)
				d.say(c.say)
				for _, body := range []string{"b", "a"} {
					if err, there := c.settle[body]; there {
						r.uplink.settle(t, body, err)
					}
				}
				d.heard(c.want)
				r.faults(t, c.faults...)
			})
		})
	}
}

func refuse(body string, err error) func(string) error {
	return func(b string) error {
		if b == body {
			return err
		}
		return nil
	}
}

func TestNothingIsOfferedAfterAMessageThatWasNotHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.uplink.refusing = refuse("b", message.ErrClosed)
		d := r.connect(t)
		d.say("data a b c\ndata d\n")
		d.closedFor("gateway-stopped")
		if got := r.uplink.taken(); len(got) != 0 {
			t.Errorf("handed up %q: the order would not hold when the device sends all again", got)
		}
	})
}

func TestAckLevels(t *testing.T) {
	for level, want := range map[AckLevel]string{AckStored: "", AckDecoded: "ack a\n", AckNone: ""} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.Ack = level
			d := r.connect(t)
			d.say("data a\n")
			d.heard(want)
			r.uplink.settle(t, "a", nil)
			if level == AckStored {
				want = "ack a\n"
			}
			d.heard(want)
		})
	}
}

func TestMessageCarriesWhereItComesFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var got []message.Message
		r.Uplink = keeping(func(m *message.Message) {
			m2 := *m
			m2.Body = slices.Clone(m.Body)
			got = append(got, m2)
		})
		d := r.connect(t)
		d.say("note first\nlogin t-1\nnote alarm\nfrom other third\n")
		want := []struct{ device, output string }{{"l", "telemetry"}, {"t-1", "alarms"}, {"other", "telemetry"}}
		for i, w := range want {
			m := got[i]
			if m.Device != w.device || m.Output != w.output || m.Seq != uint64(i+1) || m.Epoch != d.session.epoch {
				t.Errorf("message %d is %+v, want %+v", i, m, w)
			}
			if m.Listener != "l" || m.Codec != "toy" || m.ContentType != "application/octet-stream" || m.Created.IsZero() {
				t.Errorf("message %d is %+v", i, m)
			}
		}
	})
}

// keeping is an uplink that takes and forgets.
type keeping func(*message.Message)

func (k keeping) Send(_ context.Context, outcome []message.Message, r message.Receipt) error {
	for i := range outcome {
		k(&outcome[i])
		r.Settled(nil)
	}
	return nil
}

func (k keeping) TrySend(outcome []message.Message, r message.Receipt) error {
	return k.Send(context.Background(), outcome, r)
}

func TestSessionWaitsForTheHubAsLongAsItsLinkLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.uplink.fill(true)
		d := r.connect(t)
		d.say("data a\n")
		d.closedFor("")
		d.session.Disconnect("operator")
		<-d.served // it does not wait for the hub any more
		if links, _ := r.Table.Counts(); links != 0 {
			t.Errorf("%d links are left", links)
		}
		r.faults(t)
	})
}

func TestTimeSpentWaitingForTheHubIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\n")
		r.uplink.fill(true)
		d.say("data b\n")
		time.Sleep(10 * r.Idle)
		r.uplink.fill(false)
		close(r.uplink.room)
		r.uplink.settle(t, "a", nil)
		d.closedFor("")
		time.Sleep(r.Idle - time.Second)
		d.say("data c\n")
		d.closedFor("")
		time.Sleep(r.Idle + 2*time.Second)
		d.closedFor("idle")
	})
}

func TestDeviceThatSendsWithoutWaitingIsReadNoFurtherThanTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\n")
		sent := 0
		for ; sent < 2*exchangesWaiting; sent++ {
			_ = d.conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
			if _, err := d.conn.Write([]byte("ping\n")); err != nil {
				break
			}
		}
		if d.session.acks.waiting != exchangesWaiting || sent > exchangesWaiting+200 {
			t.Errorf("%d acknowledgements wait, after %d frames", d.session.acks.waiting, sent)
		}
		r.uplink.settle(t, "a", nil)
		d.say("ping\n")
		if !d.session.acks.none() {
			t.Errorf("%d acknowledgements are left", d.session.acks.waiting)
		}
	})
}

func TestDatagramNeverWaits(t *testing.T) {
	r := newRig(t)
	link, conn := newFakeLink("udp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	s.Datagram([]byte("data a"), time.Now())
	r.uplink.fill(true)
	s.Datagram([]byte("data b c"), time.Now())
	r.uplink.fill(false)
	s.Datagram([]byte("data d"), time.Now())
	for _, body := range []string{"a", "d"} {
		r.uplink.settle(t, body, nil)
	}
	if got := link.written(); got != "ack a\nack d\n" {
		t.Errorf("the device heard %q", got)
	}
	r.faults(t, FaultDropped)
	for range exchangesWaiting { // behind one that is not settled
		s.Datagram([]byte("data e"), time.Now())
	}
	s.Datagram([]byte("data f"), time.Now())
	if got := r.uplink.taken(); slices.Contains(got, "f") {
		t.Error("a datagram over the bound was handed up")
	}
	link.deaf = errors.New("no room in the socket")
	s.Datagram([]byte("hello"), time.Now())
	if link.closedFor() != "" {
		t.Error("an answer that was lost closed the peer")
	}
	s.Datagram([]byte("evil"), time.Now())
	if link.closedFor() != "protocol" {
		t.Errorf("a protocol error closed the peer for %q", link.closedFor())
	}
	s.Gone("protocol")
	if links, _ := r.Table.Counts(); links != 0 {
		t.Errorf("%d links are left", links)
	}
	r.faults(t, FaultDropped, FaultDropped, FaultSend, FaultSend, FaultProtocol)
}

func TestDatagramThatSaysByeIsAcknowledgedFirst(t *testing.T) {
	r := newRig(t)
	link, conn := newFakeLink("udp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.End()
	s.Datagram([]byte("bye a"), time.Now())
	if link.closedFor() != "" {
		t.Error("closed before the acknowledgement")
	}
	r.uplink.settle(t, "a", nil)
	if link.written() != "ack a\n" || link.closedFor() != "bye" {
		t.Errorf("heard %q, closed for %q", link.written(), link.closedFor())
	}
}
