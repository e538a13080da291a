package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// fieldOfLeaves are leaves without a hub: their shards do not run.
type fieldOfLeaves struct {
	*Leaves
	present map[string]bool
	steady  bool
	refused []*message.Refused
	told    []LeafStatus
	gone    []string
}

func (f *fieldOfLeaves) Leaf(s LeafStatus)                { f.told = append(f.told, s) }
func (f *fieldOfLeaves) Shard(int, error)                 {}
func (f *fieldOfLeaves) Batch(int, time.Duration, string) {}

func newField(t *testing.T, limits LeavesLimits, change func(*LeavesOptions)) *fieldOfLeaves {
	t.Helper()
	f := &fieldOfLeaves{present: map[string]bool{}, steady: true}
	opts := LeavesOptions{
		Identity: Identity{HubName: "h", Gateway: "127.0.0.1:1"}, Protocol: AMQP,
		Name:       func(device string) (string, error) { return "leaf-" + device, nil },
		Credential: func(context.Context, string) (Credential, error) { return Credential{}, errors.New("no key") },
		Present:    func(device string) bool { return f.present[device] },
		Steady:     func(time.Time) bool { return f.steady },
		Uplink:     UplinkOptions{QueueBytes: 2000, Refused: func(r *message.Refused) { f.refused = append(f.refused, r) }},
		Released:   func(device string) { f.gone = append(f.gone, device) },
		Observer:   f,
	}
	if change != nil {
		change(&opts)
	}
	f.Leaves = NewLeaves(opts, limits)
	t.Cleanup(f.Close)
	return f
}

var wide = LeavesLimits{Shard: 20, Attaches: 100, TwinRequests: 100, Idle: time.Minute, Most: 1000}

func (f *fieldOfLeaves) admit(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if err := f.Admit(fmt.Sprintf("d%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// sizes are how many devices each shard has.
func (f *fieldOfLeaves) sizes() map[int]int {
	sizes := map[int]int{}
	for s := range f.shards {
		sizes[len(s.members)]++
	}
	return sizes
}

// some is a shard that fits.
func (f *fieldOfLeaves) some(t *testing.T, fits func(*shard) bool) *shard {
	t.Helper()
	for s := range f.shards {
		if fits(s) {
			return s
		}
	}
	t.Fatal("there is no such shard")
	return nil
}

// settlements counts what a receipt hears.
type settlements []error

func (s *settlements) Settled(err error) { *s = append(*s, err) }

func of(device string, size int) message.Message {
	return message.Message{Device: device, Output: "telemetry", Epoch: 1, Seq: 1, Body: make([]byte, size)}
}

func TestDevicesShareConnections(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 45)
	if got := fmt.Sprint(f.sizes()); got != "map[5:1 20:2]" {
		t.Errorf("shards by size: %s", got)
	}
}

func TestADeviceThatCannotHaveAnIdentityHasItsMessagesRefused(t *testing.T) {
	limits := wide
	limits.Most = 2
	for name, c := range map[string]struct {
		device string
		want   error
	}{
		"an id that the mapping refuses":      {"bad", errBadName},
		"more devices than are allowed":       {"third", ErrLeaves},
		"an id that differs in its case only": {"FIRST", ErrLeafTaken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t, limits, func(o *LeavesOptions) {
				o.Name = func(device string) (string, error) {
					if device == "bad" {
						return "", errBadName
					}
					return device, nil
				}
			})
			known := []string{"first", "second"}
			if errors.Is(c.want, ErrLeafTaken) {
				known = known[:1]
			}
			for _, device := range known {
				if err := f.Admit(device); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Admit(c.device); !errors.Is(err, c.want) {
				t.Errorf("admitted with %v, want %v", err, c.want)
			}
			var heard settlements
			if err := f.TrySend([]message.Message{of(c.device, 10)}, &heard); err != nil {
				t.Fatal(err)
			}
			if len(heard) != 1 || !errors.Is(heard[0], message.ErrRefused) || !errors.Is(heard[0], c.want) {
				t.Errorf("settled %v", heard)
			}
			if len(f.refused) != 1 || f.refused[0].Message.Device != c.device {
				t.Errorf("refused %v", f.refused)
			}
		})
	}
}

var errBadName = errors.New("illegal id")

func TestAnOutcomeOfSeveralDevicesIsSettledOnceForEachMessage(t *testing.T) {
	f := newField(t, wide, nil)
	var before, heard settlements
	if err := f.TrySend([]message.Message{of("full", 3000)}, &before); err != nil {
		t.Fatal(err)
	}
	outcome := []message.Message{of("a", 10), of("a", 10), of("full", 10), of("b", 10)}
	if err := f.TrySend(outcome, &heard); err != nil {
		t.Fatalf("the first was taken: %v", err)
	}
	if len(heard) != 1 || !errors.Is(heard[0], message.ErrFull) {
		t.Errorf("settled %v, want one that found no room", heard)
	}
	if n := f.Stats().Messages; n != 4 {
		t.Errorf("%d messages wait, want 4", n)
	}
	if err := f.TrySend([]message.Message{of("full", 10), of("a", 10)}, &heard); !errors.Is(err, message.ErrFull) {
		t.Errorf("nothing was taken: %v, want ErrFull", err)
	}
	f.Close()
	if len(heard) != 4 || len(before) != 1 {
		t.Errorf("settled %d and %d at the end, want 4 and 1", len(heard), len(before))
	}
}

func TestAShardThatEndsAgainAndAgainIsTakenApart(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 5)
	s := f.some(t, func(*shard) bool { return true })
	for range 10 {
		f.steady = false
		s.suspect(errors.New("the hub restarts"))
	}
	f.steady = true
	for range deathsMost - 1 {
		s.suspect(errors.New("closed"))
	}
	if len(s.members) != 5 {
		t.Fatal("it was taken apart too early")
	}
	s.suspect(errors.New("closed"))
	if got := fmt.Sprint(f.sizes()); got != "map[0:1 1:5]" {
		t.Fatalf("shards by size: %s", got)
	}
	if s.begin() {
		t.Error("a shard without devices goes on")
	}

	culprit := f.some(t, func(s *shard) bool { return s.alone != nil })
	for range guilty {
		culprit.suspect(errors.New("closed by the hub"))
	}
	status, _ := f.Status(culprit.alone.leaf.device)
	if status.State != LeafQuarantined || status.Reason != "closed by the hub" {
		t.Errorf("state %s for %q", status.State, status.Reason)
	}

	// The connections of the others live: they come together again.
	now := time.Now()
	for s := range f.shards {
		s.up = now.Add(-trial)
	}
	f.tidyOnce(now)
	for s := range f.shards {
		s.begin()
	}
	if got := fmt.Sprint(f.sizes()); got != "map[1:1 4:1]" {
		t.Errorf("shards by size: %s", got)
	}
	culprit.up = now.Add(-quarantine)
	f.tidyOnce(now)
	culprit.begin()
	if got := fmt.Sprint(f.sizes()); got != "map[5:1]" {
		t.Errorf("shards by size: %s", got)
	}
}

func TestALoneDeviceIsQuarantinedToo(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 1)
	s := f.some(t, func(*shard) bool { return true })
	for range deathsMost {
		s.suspect(errors.New("closed"))
	}
	if status, _ := f.Status("d000"); status.State != LeafQuarantined {
		t.Errorf("state %s", status.State)
	}
	if got := fmt.Sprint(f.sizes()); got != "map[0:1 1:1]" {
		t.Errorf("shards by size: %s", got)
	}
}

// A device with a certificate is always alone, so that only its quarantine ends, not its solitude.
func TestADeviceWithACertificateLeavesQuarantineWhenItsConnectionHasLived(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 1)
	odd := f.leaves["d000"]
	f.certify(odd)
	own := odd.seat
	for range guilty {
		own.suspect(errors.New("closed"))
	}
	if s, _ := f.Status("d000"); s.State != LeafQuarantined {
		t.Fatalf("state %s", s.State)
	}
	now := time.Now()
	f.present["d000"], own.up = true, now
	f.tidyOnce(now.Add(quarantine / 2))
	odd.stands("")
	if s, _ := f.Status("d000"); s.State != LeafQuarantined {
		t.Errorf("state %s after half of the time", s.State)
	}
	f.tidyOnce(now.Add(quarantine))
	odd.stands("")
	if s, _ := f.Status("d000"); s.State != LeafAttached || own.leaving || odd.seat != own {
		t.Errorf("state %s, its connection is replaced: %v", s.State, own.leaving)
	}
	own.suspect(errors.New("closed"))
	if s, _ := f.Status("d000"); s.State == LeafQuarantined {
		t.Error("ends of long ago count")
	}
}

func TestOnlySomeShardsAreTakenApartAtATime(t *testing.T) {
	limits := wide
	limits.Shard = 4
	f := newField(t, limits, nil)
	f.admit(t, 40)
	whole := []*shard{}
	for s := range f.shards {
		whole = append(whole, s)
	}
	for _, s := range whole {
		for range deathsMost {
			s.suspect(errors.New("closed"))
		}
	}
	if got := f.sizes()[1]; got != trialsMost*limits.Shard {
		t.Errorf("%d connections of one device, want %d", got, trialsMost*limits.Shard)
	}
}

func TestIdleDevicesAreReleasedWhenHalfOfTheirShardIs(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 6)
	f.present["d000"] = true
	var heard settlements
	if err := f.TrySend([]message.Message{of("d001", 10)}, &heard); err != nil {
		t.Fatal(err)
	}
	s := f.some(t, func(*shard) bool { return true })
	later := time.Now().Add(time.Hour)
	f.leaves["d002"].touch(later)
	f.tidyOnce(later)
	if !s.leaving {
		t.Fatal("three of six are idle, but the connection stays")
	}
	f.leaves["d003"].touch(time.Now().Add(time.Hour)) // it comes back before the connection is replaced
	f.limits.Idle = 0                                 // drop looks at the clock
	s.begin()
	var left []string
	for _, device := range []string{"d000", "d001", "d002", "d003", "d004", "d005"} {
		if _, known := f.Status(device); known {
			left = append(left, device)
		}
	}
	if got := strings.Join(left, " "); got != "d000 d001 d002 d003" {
		t.Errorf("left %s", got)
	}
	if len(f.gone) != 2 {
		t.Errorf("released %v", f.gone)
	}
	if err := f.Admit("d005"); err != nil {
		t.Errorf("it cannot come again: %v", err)
	}
}

func TestNothingIsSentWhileAConnectionIsAboutToBeReplaced(t *testing.T) {
	f := newField(t, wide, nil)
	var heard settlements
	if err := f.TrySend([]message.Message{of("a", 10)}, &heard); err != nil {
		t.Fatal(err)
	}
	u := f.leaves["a"].uplink
	u.reached(true)
	if u.rest() {
		t.Error("something is in flight")
	}
	if flight, _ := u.next(time.Now()); flight != nil {
		t.Error("something was sent")
	}
	u.reached(true)
	if flight, _ := u.next(time.Now()); flight == nil {
		t.Error("nothing is sent on the next connection")
	}
}

func TestADeviceOfItsOwnHasItsOutputAsAProperty(t *testing.T) {
	m := of("a", 3)
	m.Properties = []message.Property{{Name: "Output", Value: "mine"}, {Name: "kind", Value: "alarm"}}
	e := NewUplink(UplinkOptions{Leaf: true}).encoder
	encoded := e.appendMessage(nil, &m, message.Hash("a"))
	back, err := readMessage(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if back.Output != "telemetry" || fmt.Sprint(back.Properties) != "[{kind alarm}]" {
		t.Errorf("read back: output %q, properties %v", back.Output, back.Properties)
	}
	if strings.Contains(string(encoded), propertyOutput) || DeviceOf(encoded) != "a" {
		t.Errorf("encoded as %q", encoded)
	}
}
