package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"pgregory.net/rapid"
)

// A device whose certificate has been taken for a key again comes back to the others, and may find
// the connection from which it went.
func TestADeviceThatComesBackToItsConnectionIsServedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, wide, nil)
		f.admit(t, 2)
		s := f.some(t, func(*shard) bool { return true })
		odd := f.leaves["d000"]
		var certified atomic.Bool
		certified.Store(true)
		served := make(chan *leaf, 10)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.seat(ctx, func(ctx context.Context, l *leaf) error {
				if l == odd && certified.Load() {
					return errCertified
				}
				served <- l
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		synctest.Wait()
		if got := <-served; got == odd || odd.seat == s {
			t.Fatal("a device with a certificate sits with the others")
		}
		certified.Store(false)
		own := odd.seat
		f.mu.Lock()
		own.alone.over = true
		own.replace()
		f.mu.Unlock()
		own.begin()
		synctest.Wait()
		select {
		case got := <-served:
			if got != odd {
				t.Errorf("served %s", got.device)
			}
		default:
			t.Error("it is not served")
		}
		end()
		<-ended
	})
}

// A device that was refused often waits for minutes, but not for its new key.
func TestDevicesThatWereRefusedAreTriedAgainWhenKeysChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, wide, nil)
		f.admit(t, 1)
		s := f.some(t, func(*shard) bool { return true })
		tried := make(chan time.Time, 100)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.seat(ctx, func(context.Context, *leaf) error {
				tried <- time.Now()
				return &refusedLeaf{errors.New("wrong key")}
			})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		for len(tried) > 1 {
			<-tried
		}
		last := <-tried
		again := <-tried
		if pause := again.Sub(last); pause < leafPauseMost/2 {
			t.Fatalf("it is tried after %v", pause)
		}
		synctest.Wait()
		f.Retry()
		synctest.Wait()
		select {
		case at := <-tried:
			if at != again {
				t.Errorf("it is tried %v after its key has changed", at.Sub(again))
			}
		default:
			t.Error("it is not tried")
		}
		f.Retry() // and again
		synctest.Wait()
		if len(tried) != 1 {
			t.Errorf("it is tried %d times", len(tried))
		}
		end()
		<-ended
	})
}

func TestADeviceInQuarantineThatComesBackInTimeStaysThere(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 1)
	s := f.some(t, func(*shard) bool { return true })
	for range deathsMost {
		s.suspect(errors.New("closed"))
	}
	s.begin()
	f.admit(t, 2)
	alone := f.leaves["d000"].seat
	later := time.Now().Add(2 * time.Minute)
	f.tidyOnce(later)
	if !alone.leaving {
		t.Fatal("it is not to be released")
	}
	f.leaves["d000"].touch(later)
	if !alone.begin() || f.leaves["d000"].seat != alone {
		t.Error("it sits with the others")
	}
}

func TestADeviceIsReleasedAlthoughEverythingGoesToDisk(t *testing.T) {
	store := &emptied{}
	f := newField(t, wide, func(o *LeavesOptions) {
		o.Store = func(string) Store { return store }
		o.Spill.Always = true
	})
	var heard settlements
	if err := f.TrySend([]message.Message{of("a", 10)}, &heard); err != nil {
		t.Fatal(err)
	}
	u := f.leaves["a"].uplink
	u.reached(true)
	for f.move() {
		for u.Pass() {
		}
	}
	for u.Pass() {
	}
	if len(heard) != 1 || heard[0] != nil || store.held != 0 {
		t.Fatalf("settled %v, %d on disk", heard, store.held)
	}
	f.tidyOnce(time.Now().Add(time.Hour))
	if s := f.leaves["a"].seat; !s.leaving {
		t.Error("an idle device is not released")
	}
}

// emptied is a store that counts what it holds.
type emptied struct{ last, held uint64 }

func (s *emptied) Append(entries [][][]byte) (uint64, error) {
	first := s.last + 1
	s.last += uint64(len(entries))
	s.held += uint64(len(entries))
	return first, nil
}
func (s *emptied) Read(uint64) ([][]byte, error) { return nil, nil }
func (s *emptied) Bounds() (first, last uint64)  { return s.last + 1 - s.held, s.last }
func (s *emptied) Done(uint64)                   { s.held-- }

func TestTheNameOfADeviceThatIsNotTakenIsGivenBack(t *testing.T) {
	limits := wide
	limits.Most = 1
	f := newField(t, limits, nil)
	f.admit(t, 1)
	if err := f.Admit("second"); !errors.Is(err, ErrLeaves) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.gone); got != "[second]" {
		t.Errorf("given back: %s", got)
	}
}

// seating drives everything that moves devices between connections.
type seating struct {
	f   *fieldOfLeaves
	now time.Time
}

func (m *seating) device(t *rapid.T) string {
	return fmt.Sprintf("d%02d", rapid.IntRange(0, 11).Draw(t, "device"))
}

// connection draws one that lives.
func (m *seating) connection(t *rapid.T) *shard {
	var best *shard // of a drawn device, since a map has no order
	if l := m.f.leaves[m.device(t)]; l != nil {
		best = l.seat
	}
	return best
}

func (m *seating) Admit(t *rapid.T) {
	device := m.device(t)
	if err := m.f.Admit(device); err != nil && !errors.Is(err, ErrLeaves) {
		t.Fatal(err)
	}
	m.f.present[device] = rapid.Bool().Draw(t, "stays")
}

func (m *seating) Leave(t *rapid.T) { m.f.present[m.device(t)] = false }

// End is a connection that ends by itself.
func (m *seating) End(t *rapid.T) {
	s := m.connection(t)
	if s == nil {
		return
	}
	m.f.steady = rapid.IntRange(0, 4).Draw(t, "steady") > 0
	if _, stood := s.ended(); stood {
		s.suspect(errors.New("closed"))
	}
	if !s.begin() {
		return
	}
	m.f.mu.Lock()
	s.up = m.now
	m.f.mu.Unlock()
}

func (m *seating) Certify(t *rapid.T) {
	if l := m.f.leaves[m.device(t)]; l != nil {
		m.f.certify(l)
	}
}

// Uncertify is what a connection finds whose device has a key.
func (m *seating) Uncertify(t *rapid.T) {
	if s := m.connection(t); s != nil && s.alone != nil {
		s.alone.certified = false
	}
}

func (m *seating) Limit(t *rapid.T) {
	limits := m.f.limits
	limits.Shard = rapid.IntRange(1, 5).Draw(t, "shard")
	m.f.Limit(limits)
}

// Tidy lets time pass, and every connection that is to be replaced is.
func (m *seating) Tidy(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 700).Draw(t, "seconds")) * time.Second)
	m.f.tidyOnce(m.now)
	var leaving []*shard
	for s := range m.f.shards {
		if s.leaving {
			leaving = append(leaving, s)
		}
	}
	for _, s := range leaving {
		if s.begin() {
			s.up = m.now
		}
	}
}

// Check holds that each device sits on exactly one connection that there is, and one that is to
// be alone is.
func (m *seating) Check(t *rapid.T) {
	sitting := 0
	for s := range m.f.shards {
		sitting += len(s.members)
		for l := range s.members {
			if l.seat != s {
				t.Fatalf("%s sits on another connection too", l.device)
			}
			if s.alone != nil && s.alone.leaf != l {
				t.Fatalf("%s sits with %s, which is to be alone", l.device, s.alone.leaf.device)
			}
		}
		if s.alone != nil && len(s.members) > 1 {
			t.Fatalf("%d devices are alone together", len(s.members))
		}
	}
	if sitting != len(m.f.leaves) || len(m.f.ids) != len(m.f.leaves) {
		t.Fatalf("%d devices, %d ids, %d seats", len(m.f.leaves), len(m.f.ids), sitting)
	}
	for device, l := range m.f.leaves {
		if _, stands := m.f.shards[l.seat]; !stands {
			t.Fatalf("%s sits on a connection that is gone", device)
		}
		if m.f.present[device] && l.released && l.seat.leaving {
			t.Fatalf("%s is connected and to be released", device)
		}
	}
}

func TestEachDeviceSitsOnOneConnectionWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := wide
		limits.Shard, limits.Most = 3, 10
		m := &seating{f: newField(t, limits, nil), now: time.Now()}
		rt.Repeat(map[string]func(*rapid.T){
			"Admit": m.Admit, "Leave": m.Leave, "End": m.End, "Certify": m.Certify, "Uncertify": m.Uncertify,
			"Limit": m.Limit, "Tidy": m.Tidy, "": m.Check,
		})
	})
}
