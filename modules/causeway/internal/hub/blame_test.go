package hub

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// ending is what happens on one connection, by devices: the messages of some are stored, in
// that order, and then it ends over that of another; "" means over none.
type ending struct {
	stored string
	over   string
}

// Every device here has a lane of its own and sends one message after the other.
func TestAMessageIsTakenForTheCauseOnlyWhenOthersAreStoredAndNoOtherIsAtTheEnd(t *testing.T) {
	t.Parallel()
	repeat := func(n int, list ...ending) (all []ending) {
		for range n {
			all = append(all, list...)
		}
		return all
	}
	for name, c := range map[string]struct {
		endings []ending
		refused string // the devices whose messages are refused, in that order
	}{
		"it alone, and others are stored in between": {repeat(5, ending{"b", "a"}), "a"},
		"once too few":                                     {repeat(4, ending{"b", "a"}), ""},
		"nothing is stored in between":                     {repeat(50, ending{"", "a"}), ""},
		"an outage after it":                               {append(repeat(4, ending{"b", "a"}), repeat(9, ending{"", "a"})...), ""},
		"connections end over this and that":               {repeat(20, ending{"b", "a"}, ending{"a", "b"}), ""},
		"connections end over none":                        {repeat(20, ending{"b", "a"}, ending{"b", ""}), ""},
		"one end over another, and then it alone":          {append(repeat(4, ending{"b", "a"}), append(repeat(1, ending{"", "b"}), repeat(3, ending{"b", "a"})...)...), ""},
		"another over which one ended is stored after all": {append(append([]ending{{"b", "c"}}, repeat(4, ending{"b", "a"})...), append([]ending{{"bc", "a"}}, repeat(2, ending{"b", "a"})...)...), ""},
		"two of them":                                      {repeat(5, ending{"c", "a"}, ending{"c", "b"}), "ab"},
		"it is stored in the end":                          {append(repeat(4, ending{"b", "a"}), ending{"a", ""}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refused := ""
				u := NewUplink(UplinkOptions{BatchBytes: 1, Refused: func(r *message.Refused) { // each flies alone
					refused += r.Message.Device
					if !errors.Is(r, errBlamed) {
						t.Errorf("refused: %v", r)
					}
				}})
				for _, e := range c.endings {
					u.play(t, e)
				}
				if refused != c.refused {
					t.Errorf("refused those of %q, want %q", refused, c.refused)
				}
			})
		})
	}
}

// play is the life of one connection: what is to be stored is, and over the other it ends.
func (u *Uplink) play(t *testing.T, e ending) {
	t.Helper()
	u.reached(true)
	time.Sleep(2 * blamedPauseMost) // nobody has to wait any more
	for _, device := range e.stored + e.over {
		if l := &u.lanes[laneOf(message.Hash(string(device)))]; l.empty() {
			m := telemetry("x")
			m.Device = string(device)
			if err := u.TrySend([]message.Message{*m}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	flights := map[string]*flight{}
	for f, _ := u.next(time.Now()); f != nil; f, _ = u.next(time.Now()) {
		if f.len() > 1 {
			t.Fatal("a flight has the messages of several devices")
		}
		flights[DeviceOf(f.batches[0].bytes)] = f
	}
	for _, device := range e.stored {
		time.Sleep(time.Millisecond)
		u.accepted(flights[string(device)])
	}
	time.Sleep(time.Millisecond)
	if e.over == "" {
		u.blame(nil, 0)
	} else {
		u.blame(flights[e.over], 0)
	}
	u.recall()
}

func TestTheMessageAtTheEndIsPartedFromItsFlight(t *testing.T) {
	t.Parallel()
	for at := range 5 {
		u, r := NewUplink(UplinkOptions{}), new(receipts)
		numbered(t, u, r, bodies(5)...)
		f, _ := u.next(time.Now())
		u.blame(f, at)
		u.recall()
		var got []int
		for f, _ := u.next(time.Now()); f != nil; f, _ = u.next(time.Now()) {
			got = append(got, f.len())
			u.accepted(f)
		}
		if accepted, refused := r.counts(); accepted != 5 || refused != 0 {
			t.Errorf("at %d: accepted %d, refused %d", at, accepted, refused)
		}
		want := map[int]int{0: 2, 4: 2}[at]
		if want == 0 {
			want = 3
		}
		if len(got) != want || got[min(at, 1)] != 1 {
			t.Errorf("at %d: flights of %v messages", at, got)
		}
	}
}

func TestAMessageThatEndsEveryConnectionIsRefusedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	h := newMQTTHub(t)
	r, told := new(receipts), make(chan *message.Refused, 1)
	u := NewUplink(UplinkOptions{Refused: func(r *message.Refused) { told <- r }})
	numbered(t, u, r, "0", "poison", "2")
	h.run(h.options(newRecorder(), nil), u)
	other, stored := 0, ""
	for ends := 0; ends < blamedMost; {
		more := telemetry("other")
		more.Device = "tracker-2"
		if err := u.TrySend([]message.Message{*more}, r); err != nil {
			t.Fatal(err)
		}
		other++
		for p := h.login(); ; {
			m := next[*packets.PublishPacket](p)
			if string(m.Payload) == "poison" {
				ends++
				_ = p.conn.Close()
				break
			}
			if string(m.Payload) != "other" {
				stored += string(m.Payload)
			}
			p.puback(m.MessageID)
		}
	}
	if got := heard(t, told); string(got.Message.Body) != "poison" {
		t.Errorf("refused %s", got.Message.Body)
	}
	p := h.login()
	m := next[*packets.PublishPacket](p)
	p.puback(m.MessageID)
	if accepted, refused := settled(t, u, r); accepted != 2+other || refused != 1 || string(m.Payload) != "2" || stored != "00" {
		t.Errorf("accepted %d, refused %d, stored %q and at last %q", accepted, refused, stored, m.Payload)
	}
}
