package deadletter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// uplink keeps what it was sent.
type uplink struct {
	list []message.Message
	full bool
}

func (u *uplink) TrySend(list []message.Message, _ message.Receipt) error {
	if u.full {
		return message.ErrFull
	}
	u.list = append(u.list, list...)
	return nil
}

func property(m message.Message, name string) string {
	for _, p := range m.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func TestAFrameIsSentAsItsBytes(t *testing.T) {
	u := &uplink{}
	l := frame(1)
	l.ID, l.Device = 42, ""
	NewOutput(u).Send(&l)
	m := u.list[0]
	if m.Output != "deadletter" || m.Device != "trackers" || m.Listener != "trackers" || m.Codec != "teltonika" ||
		string(m.Body) != "frame 1" || m.ContentType != "application/octet-stream" || string(m.AppendID(nil)) != "trackers-16-0" {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]string{
		"kind": "malformed", "reason": "bad crc", "codecVersion": "1.0", "letterId": "42",
	} {
		if got := property(m, name); got != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
}

func TestARefusedMessageIsSentUnlessItIsTooLarge(t *testing.T) {
	u := &uplink{}
	o := NewOutput(u)
	l := OfMessage(&message.Message{
		Device: "d", Listener: "l", Codec: "c", Output: "telemetry", Body: []byte(`{"a":1}`), ContentType: "application/json",
		Properties: []message.Property{{Name: "own", Value: strings.Repeat("x", 1<<20)}},
	}, fmt.Errorf("%w: too large", message.ErrRefused))
	o.Send(&l)
	if m := u.list[0]; string(m.Body) != `{"a":1}` || m.ContentType != "application/json" || property(m, "own") != "" {
		t.Errorf("%+v", m)
	}
	l.Body = make([]byte, bodyLimit+1)
	o.Send(&l)
	m := u.list[1]
	if want := `{"bytes":196609,"kind":"refused","letterId":0,"reason":"refused for good: too large"}`; string(m.Body) != want {
		t.Errorf("body %.200s", m.Body)
	}
}

func TestAFloodOfOneListenerDoesNotDrownTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &uplink{}
		o := NewOutput(u)
		l := frame(1)
		for range 1000 {
			o.Send(&l)
		}
		if len(u.list) != burst || o.Unsent() != 1000-burst {
			t.Errorf("sent %d, unsent %d", len(u.list), o.Unsent())
		}
		other := frame(2)
		other.Listener = "meters"
		o.Send(&other)
		if len(u.list) != burst+1 {
			t.Error("the other listener's letter was not sent")
		}
		time.Sleep(time.Second)
		for range 1000 {
			o.Send(&l)
		}
		if len(u.list) != burst+1+rate {
			t.Errorf("sent %d a second later", len(u.list)-burst-1)
		}
		for i := range 10 * listenersKept {
			l.Listener = fmt.Sprint(i)
			o.Send(&l)
		}
		if len(o.buckets) > listenersKept {
			t.Errorf("%d listeners are remembered", len(o.buckets))
		}
	})
}

func TestALetterThatIsNotTakenIsCounted(t *testing.T) {
	u := &uplink{full: true}
	o := NewOutput(u)
	l := frame(1)
	o.Send(&l)
	o.Settled(errors.New("refused"))
	o.Settled(nil)
	if o.Unsent() != 2 {
		t.Errorf("unsent %d", o.Unsent())
	}
}
