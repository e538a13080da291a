package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// uplink keeps what it was sent, and its receipts.
type uplink struct {
	list     []message.Message
	receipts []message.Receipt
	err      error
}

func (u *uplink) TrySend(list []message.Message, r message.Receipt) error {
	if u.err != nil {
		return u.err
	}
	u.list, u.receipts = append(u.list, list...), append(u.receipts, r)
	return nil
}

// settle ends what is on its way.
func (u *uplink) settle(err error) {
	for _, r := range u.receipts {
		r.Settled(err)
	}
	u.receipts = nil
}

// dropped is what the last event tells of others.
func (u *uplink) dropped(t *testing.T) string {
	t.Helper()
	var b struct{ Dropped map[string]int }
	if err := json.Unmarshal(u.list[len(u.list)-1].Body, &b); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(b.Dropped)
}

// generous tells everything.
func generous() Settings {
	s := Settings{Kinds: map[Kind]bool{}, PerSecond: 1000, Burst: 1000, DevicePerMinute: 60_000, DeviceBurst: 1000}
	for _, k := range Kinds() {
		s.Kinds[k] = true
	}
	return s
}

func TestAnEventIsAMessageOfItsDevice(t *testing.T) {
	u := &uplink{}
	o := NewOutput(u)
	o.Configure(generous())
	for _, c := range []struct {
		Event
		device, listener, codec string
	}{
		{example(), "356307042441013", "trackers", "teltonika"},
		{Event{Kind: Refused, Listener: "trackers", Codec: "teltonika"}, "trackers", "trackers", "teltonika"},
		{Event{Kind: CommandExpired, Device: "d"}, "d", "causeway", "causeway"},
		{Event{Kind: IdentityRefused}, "causeway", "causeway", "causeway"},
	} {
		before := len(u.list)
		o.Tell(c.Event)
		if len(u.list) != before+1 {
			t.Fatalf("%s was not sent", c.Kind)
		}
		m := u.list[before]
		if m.Output != "events" || m.Device != c.device || m.Listener != c.listener || m.Codec != c.codec ||
			m.ContentType != "application/json" || m.ContentEncoding != "utf-8" || m.Created.IsZero() ||
			m.Epoch != o.epoch || m.Seq != uint64(before)+1 || m.Properties[0] != (message.Property{Name: "kind", Value: c.Kind.String()}) {
			t.Errorf("%+v", m)
		}
	}
	if other := NewOutput(u); other.epoch == o.epoch {
		t.Error("two lives have one epoch")
	}
}

func TestWhatIsOffIsNeitherToldNorCounted(t *testing.T) {
	u := &uplink{}
	o := NewOutput(u)
	o.Tell(example()) // before there is a configuration
	s := generous()
	s.Kinds = map[Kind]bool{Refused: true, Disconnected: false}
	o.Configure(s)
	for _, k := range Kinds() {
		o.Tell(Event{Kind: k, Device: "d"})
		if o.Tells(k) != (k == Refused) {
			t.Errorf("%s: %v", k, o.Tells(k))
		}
	}
	if len(u.list) != 1 || u.list[0].Properties[0].Value != "refused" || len(o.Stats().Dropped) != 0 || o.Stats().Sent != 1 {
		t.Errorf("sent %v, %+v", u.list, o.Stats())
	}
}

func TestWhatIsDroppedIsToldByTheNextThatGetsThrough(t *testing.T) {
	u := &uplink{err: message.ErrFull}
	o := NewOutput(u)
	o.Configure(generous())
	for range 3 {
		o.Tell(Event{Kind: Connected, Device: "a"})
	}
	o.Tell(Event{Kind: Refused, Device: "b"})
	u.err = nil
	o.Tell(Event{Kind: Disconnected, Device: "c"})
	if got := u.dropped(t); got != "map[connected:3 refused:1]" {
		t.Errorf("told %s", got)
	}
	u.settle(errors.New("refused for good")) // with what it told
	o.Tell(Event{Kind: Connected, Device: "d"})
	if got := u.dropped(t); got != "map[connected:3 disconnected:1 refused:1]" {
		t.Errorf("told %s after a refusal", got)
	}
	u.settle(nil)
	o.Tell(Event{Kind: Connected, Device: "e"})
	if got := u.dropped(t); got != "map[]" {
		t.Errorf("told %s again", got)
	}
	if s := o.Stats(); s.Sent != 3 || s.Dropped[Connected] != 3 || s.Dropped[Disconnected] != 1 || s.Dropped[Refused] != 1 {
		t.Errorf("%+v", s)
	}
	for i, want := range []uint64{1, 2, 3} {
		if u.list[i].Seq != want {
			t.Errorf("event %d has number %d", i, u.list[i].Seq)
		}
	}
}

func TestSoManyAreOnTheirWayAndNoMore(t *testing.T) {
	u := &uplink{}
	o := NewOutput(u)
	o.Configure(generous())
	for i := range unsettledMost + 10 {
		o.Tell(Event{Kind: Connected, Device: fmt.Sprint(i)})
	}
	if len(u.list) != unsettledMost || o.Stats().Dropped[Connected] != 10 {
		t.Errorf("%d on their way, %+v", len(u.list), o.Stats())
	}
	u.settle(nil)
	o.Tell(Event{Kind: Connected, Device: "next"})
	if len(u.list) != unsettledMost+1 || u.dropped(t) != "map[connected:10]" {
		t.Errorf("%d events, the last tells %s", len(u.list), u.dropped(t))
	}
}

func TestAFleetThatReconnectsDoesNotFloodTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &uplink{}
		o := NewOutput(u)
		s := generous()
		s.PerSecond, s.Burst, s.DevicePerMinute, s.DeviceBurst = 5, 100, 30, 20
		o.Configure(s)
		const fleet, minutes = 2000, 3
		for range minutes { // each of them once a minute
			for i := range fleet {
				o.Tell(Event{Kind: Connected, Device: fmt.Sprint(i)})
				u.settle(nil)
				time.Sleep(time.Minute / fleet)
			}
		}
		if most := 100 + minutes*60*5; len(u.list) > most || len(u.list) < most-10 {
			t.Errorf("%d events, at most %d", len(u.list), most)
		}
		if got := o.Stats(); got.Sent+got.Dropped[Connected] != fleet*minutes {
			t.Errorf("%+v", got)
		}
	})
}

func TestOneDeviceDoesNotUseUpWhatIsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &uplink{}
		o := NewOutput(u)
		s := generous()
		s.PerSecond, s.Burst, s.DevicePerMinute, s.DeviceBurst = 5, 100, 30, 20
		o.Configure(s)
		for range 1000 {
			o.Tell(Event{Kind: Refused, Device: "noisy"})
		}
		if len(u.list) != 20 {
			t.Errorf("%d events of one device", len(u.list))
		}
		o.Configure(s) // nothing has changed
		o.Tell(Event{Kind: Refused, Device: "noisy"})
		o.Tell(Event{Kind: Connected, Device: "quiet"})
		if len(u.list) != 21 || u.list[20].Device != "quiet" || u.dropped(t) != "map[refused:981]" {
			t.Errorf("%d events, the last tells %s", len(u.list), u.dropped(t))
		}
		time.Sleep(4 * time.Second)
		for range 10 {
			o.Tell(Event{Kind: Refused, Device: "noisy"})
		}
		if len(u.list) != 23 {
			t.Errorf("%d events of the device after 4 seconds", len(u.list)-21)
		}
		u.settle(nil)
		for i := range 10 * devicesKept {
			if i%100 == 0 {
				time.Sleep(20 * time.Second)
			}
			o.Tell(Event{Kind: Refused, Device: fmt.Sprint(i)})
			u.settle(nil)
		}
		if n := len(o.limits.devices); n > devicesKept {
			t.Errorf("%d devices are remembered", n)
		}
	})
}

// lanes keeps the numbers that it is sent, for each device, and settles at once.
type lanes struct {
	mu   sync.Mutex
	list map[string][]uint64
}

func (l *lanes) TrySend(list []message.Message, r message.Receipt) error {
	l.mu.Lock()
	for _, m := range list {
		l.list[m.Device] = append(l.list[m.Device], m.Seq)
	}
	l.mu.Unlock()
	r.Settled(nil)
	return nil
}

func TestNumbersAscendHoweverManyTell(t *testing.T) {
	l := &lanes{list: map[string][]uint64{}}
	o := NewOutput(l)
	o.Configure(generous())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				o.Tell(Event{Kind: Connected, Device: fmt.Sprint(i % 3)})
			}
		})
	}
	all.Wait()
	for device, numbers := range l.list {
		for i := 1; i < len(numbers); i++ {
			if numbers[i] <= numbers[i-1] {
				t.Fatalf("device %s: %d after %d", device, numbers[i], numbers[i-1])
			}
		}
	}
	if s := o.Stats(); s.Sent != 800 {
		t.Errorf("%+v", s)
	}
}

func TestAnEventThatIsOffCostsNoAllocation(t *testing.T) {
	o := NewOutput(&uplink{})
	e := example()
	if n := testing.AllocsPerRun(100, func() { o.Tell(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTell(b *testing.B) {
	for _, c := range []struct {
		name string
		Settings
	}{
		{"off", Settings{}},
		{"over the rate", Settings{Kinds: map[Kind]bool{Disconnected: true}}},
		{"sent", Settings{Kinds: map[Kind]bool{Disconnected: true}, PerSecond: 1e12, Burst: 1e12, DevicePerMinute: 1e12, DeviceBurst: 1e12}},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := NewOutput(&lanes{list: map[string][]uint64{}})
			o.Configure(c.Settings)
			e := example()
			b.ReportAllocs()
			for b.Loop() {
				o.Tell(e)
			}
		})
	}
}
