package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

// memory is a Store that survives a service.
type memory struct {
	mu     sync.Mutex
	list   map[uint64]Stored
	broken error
	log    []string // what was done, in order
}

func newMemory() *memory { return &memory{list: map[uint64]Stored{}} }

func (m *memory) Save(c Stored) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	c.Queued, c.Expiry = c.Queued.Round(0), c.Expiry.Round(0) // a disk has no monotonic clock
	m.list[c.Number] = c
	m.log = append(m.log, fmt.Sprintf("save delivering=%v", c.Delivering))
	return nil
}

func (m *memory) Delete(number uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	delete(m.list, number)
	m.log = append(m.log, "delete")
	return nil
}

func (m *memory) Load() (list []Stored, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.list {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Stored) int { return int(a.Number) - int(b.Number) })
	return list, m.broken
}

// crash is a copy of the disk as a kill at this moment would leave it.
func (m *memory) crash() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemory()
	for n, s := range m.list {
		c.list[n] = s
	}
	return c
}

func (m *memory) did() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

func (m *memory) breakDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

// restarted is a service over what a crash has left.
func restarted(t *testing.T, m *memory) *field {
	t.Helper()
	f := newKeptField(t, m)
	if err := f.Restore(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return f
}

func (f *field) told() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ended)
}

func long(name string) Request {
	return Request{DeviceID: "d", Command: name, TimeoutSeconds: 10, QueueSeconds: 3600}
}

func TestAQueuedCommandSurvivesACrashAndIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		for _, name := range []string{"a", "b"} {
			if a := f.Do(t.Context(), long(name)); a.Status != StatusQueued {
				t.Fatalf("answered %d %s", a.Status, a.Payload)
			}
		}
		after := disk.crash()
		f2 := restarted(t, after)
		d := f2.come("d", &fakeDevice{})
		if got := f2.told(); len(got) != 2 || !slices.Equal(d.commands(), []string{"a", "b"}) {
			t.Errorf("ended %v, the device heard %v", got, d.commands())
		}
		if len(after.list) != 0 {
			t.Errorf("left in the store: %v", after.list)
		}
		want := []string{"save delivering=true", "delete", "save delivering=true", "delete"}
		if got := after.did(); !slices.Equal(got, want) {
			t.Errorf("the store saw %v, want %v", got, want)
		}
	})
}

func TestACommandThatWasBeingDeliveredIsToldAndNotDeliveredAgain(t *testing.T) {
	for _, retry := range []bool{false, true} {
		t.Run(fmt.Sprint("retry ", retry), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newMemory()
				f := newKeptField(t, disk)
				r := long("a")
				r.Retry = retry
				f.Do(t.Context(), r)
				var after *memory
				f.come("d", &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
					after = disk.crash() // the device has the bytes
					return codec.Result{}, nil
				}})
				synctest.Wait()
				f2 := restarted(t, after)
				d := f2.come("d", &fakeDevice{})
				got := f2.told()
				if want := map[bool][]string{true: {"a"}}[retry]; !slices.Equal(d.commands(), want) {
					t.Errorf("the device heard %v", d.commands())
				}
				status := map[bool]string{false: " 504", true: " 200"}[retry]
				if len(got) != 1 || got[0][len(got[0])-4:] != status {
					t.Errorf("ended %v", got)
				}
				if len(after.list) != 0 {
					t.Errorf("left in the store: %v", after.list)
				}
			})
		})
	}
}

func TestASilentDeviceIsAskedAgainOnlyIfTheCallerWishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newKeptField(t, newMemory())
		r := long("a")
		r.Retry = true
		times := 0
		d := f.come("d", &fakeDevice{})
		d.command = func(ctx context.Context, _ string) (codec.Result, error) {
			if times++; times < 3 {
				<-ctx.Done()
				return codec.Result{}, ctx.Err()
			}
			return codec.Result{}, nil
		}
		if a := f.Do(t.Context(), r); a.Status != StatusQueued { // although it is connected
			t.Fatalf("answered %d", a.Status)
		}
		f.Do(t.Context(), long("b")) // stays behind it
		time.Sleep(3 * (10*time.Second + retryPause))
		if got := f.told(); len(got) != 2 || !slices.Equal(d.commands(), []string{"a", "a", "a", "b"}) {
			t.Errorf("ended %v, the device heard %v", got, d.commands())
		}
		f.empty()
	})
}

func TestACommandThatIsNeverAnsweredEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		f.come("d", &fakeDevice{command: fails(errors.New("device disconnected"))})
		end := make(chan Answer, 1)
		go func() {
			end <- f.Do(t.Context(), Request{DeviceID: "d", Command: "a", TimeoutSeconds: 10, QueueSeconds: 50, Retry: true})
		}()
		time.Sleep(61 * time.Second)
		f.ends(end, StatusExpired)
		f.empty()
		if len(disk.list) != 0 {
			t.Errorf("left in the store: %v", disk.list)
		}
	})
}

func TestTimeRunsOnWhileTheGatewayIsAway(t *testing.T) {
	cases := []struct {
		name string
		away time.Duration // on the wall clock
		left time.Duration // 0: over
	}{
		{"a minute", time.Minute, 59 * time.Minute},
		{"an hour", time.Hour, 0},
		{"a clock that was set back", -5 * time.Hour, time.Hour},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := newMemory()
				now := time.Now()
				disk.list[1] = Stored{
					Number: 1, ID: "x", Request: long("a"), Queued: now.Add(-c.away), Expiry: now.Add(time.Hour - c.away),
				}
				f := restarted(t, disk)
				if c.left > 0 {
					time.Sleep(c.left - time.Second)
					if got := f.told(); len(got) != 0 {
						t.Fatalf("ended too early: %v", got)
					}
					time.Sleep(2 * time.Second)
				}
				if got := f.told(); !slices.Equal(got, []string{"x 408"}) {
					t.Errorf("ended %v", got)
				}
				if len(disk.list) != 0 {
					t.Errorf("left in the store: %v", disk.list)
				}
			})
		})
	}
}

func TestWithoutADiskNothingIsPromised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		disk.breakDown(errors.New("disk full"))
		if a := f.Do(t.Context(), long("a")); a.Status != StatusUnavailable {
			t.Errorf("a command that cannot be kept is answered %d", a.Status)
		}
		if err := f.submit(long("a"), "input-1"); !errors.Is(err, errNotKept) {
			t.Errorf("a message that cannot be kept: %v", err)
		}
		end := f.do(t.Context(), "d", "b", 60) // its caller waits, and hears
		f.come("d", &fakeDevice{})
		f.ends(end, StatusOK)
		f.empty()
	})
}

func TestACommandThatCannotBeMarkedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		f.Do(t.Context(), long("a"))
		disk.breakDown(errors.New("disk full"))
		d := f.come("d", &fakeDevice{})
		if got := f.told(); len(got) != 0 || len(d.commands()) != 0 {
			t.Fatalf("ended %v, the device heard %v", got, d.commands())
		}
		disk.breakDown(nil)
		time.Sleep(markPause)
		if got := f.told(); len(got) != 1 || !slices.Equal(d.commands(), []string{"a"}) || len(f.failed) == 0 {
			t.Errorf("ended %v, the device heard %v, failures %v", got, d.commands(), f.failed)
		}
	})
}

func TestAnEndThatCannotBeToldIsToldAtTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		f.Do(t.Context(), long("a"))
		f.mu.Lock()
		f.deaf = errors.New("hub away")
		f.mu.Unlock()
		d := f.come("d", &fakeDevice{})
		synctest.Wait()
		if len(d.commands()) != 1 || len(disk.list) != 1 {
			t.Fatalf("the device heard %v, stored %v", d.commands(), disk.list)
		}
		f2 := restarted(t, disk.crash())
		if got := f2.told(); len(got) != 1 {
			t.Errorf("ended %v", got)
		}
	})
}

func TestAnOrderlyEndKeepsWhatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		f := newKeptField(t, disk)
		f.Do(t.Context(), long("a"))
		end := f.do(t.Context(), "d", "b", 60)
		if len(disk.list) != 2 {
			t.Fatalf("stored %v", disk.list)
		}
		f.Close()
		f.ends(end, StatusUnavailable)
		if len(disk.list) != 1 || len(f.ended) != 0 {
			t.Errorf("stored %v, ended %v", disk.list, f.ended)
		}
		f2 := restarted(t, disk)
		d := f2.come("d", &fakeDevice{})
		if f2.told(); !slices.Equal(d.commands(), []string{"a"}) {
			t.Errorf("the device heard %v", d.commands())
		}
	})
}

func TestNumbersGoOnOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		far := uint64(time.Now().Add(time.Hour).UnixMicro())
		disk.list[far] = Stored{Number: far, ID: "x", Request: long("a"), Queued: time.Now(), Expiry: time.Now().Add(time.Hour)}
		f := restarted(t, disk)
		a := f.Do(t.Context(), long("b"))
		var in struct {
			CommandID string `json:"commandId"`
		}
		if err := json.Unmarshal(a.Payload, &in); err != nil || in.CommandID != fmt.Sprint(far+1) {
			t.Errorf("%s, %v", a.Payload, err)
		}
	})
}

func TestPayloadsOfQueuedCommandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		r := long("a")
		r.Payload = json.RawMessage(`"` + string(make([]byte, queueBytes/2)) + `"`)
		if a := f.Do(t.Context(), r); a.Status != StatusQueued {
			t.Errorf("answered %d", a.Status)
		}
		if a := f.Do(t.Context(), r); a.Status != StatusTooMany {
			t.Errorf("answered %d", a.Status)
		}
	})
}

func TestCommandsComeBackFromTheStateFile(t *testing.T) {
	file := state.New(t.TempDir())
	if err := file.Open(); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	store := StateStore{File: file}
	now := time.Now().UTC().Truncate(time.Microsecond)
	for n := range uint64(3) {
		r := long("a")
		r.Payload = json.RawMessage(`{"n":1}`)
		if err := store.Save(Stored{Number: n + 1, ID: fmt.Sprint(n), Request: r, Queued: now, Expiry: now}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete(2); err != nil {
		t.Fatal(err)
	}
	list, err := store.Load()
	if err != nil || len(list) != 2 || list[0].Number != 1 || list[1].Number != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	if c := list[0]; !c.Expiry.Equal(now) || string(c.Request.Payload) != `{"n":1}` || c.Request.QueueSeconds != 3600 {
		t.Errorf("%+v", c)
	}
	err = file.Update(bucket, func(b *state.Bucket) error { return b.Put([]byte("x"), []byte("y")) })
	if err != nil {
		t.Fatal(err)
	}
	if list, err := store.Load(); !errors.Is(err, state.ErrDamaged) || len(list) != 2 {
		t.Errorf("beside a damaged one: %v, %v", list, err)
	}
}
