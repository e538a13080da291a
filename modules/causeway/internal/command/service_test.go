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

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeDevice answers commands with their own name, or as it is told to.
type fakeDevice struct {
	mu      sync.Mutex
	heard   []string
	command func(ctx context.Context, name string) (codec.Result, error)
	raw     func(ctx context.Context, b []byte, await bool) ([]byte, error)
	closed  string
}

func (d *fakeDevice) Command(ctx context.Context, r Request, _ string) (codec.Result, error) {
	name := r.Command
	d.mu.Lock()
	d.heard = append(d.heard, name)
	d.mu.Unlock()
	if d.command != nil {
		return d.command(ctx, name)
	}
	return codec.Result{Payload: json.RawMessage(`"` + name + `"`)}, nil
}

func (d *fakeDevice) Raw(ctx context.Context, b []byte, await bool) ([]byte, error) {
	return d.raw(ctx, b, await)
}

func (d *fakeDevice) Disconnect(reason string) { d.closed = reason }

func (d *fakeDevice) commands() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.heard)
}

// field is a service with devices that come and go.
type field struct {
	*Service
	t *testing.T

	mu      sync.Mutex
	devices map[string]*fakeDevice
	ended   []string // "id status"
	expired []string // ids
	limit   int
	looking func() // called in the middle of a look for a device
	deaf    error  // what Ended fails with
	failed  []error
}

func newField(t *testing.T) *field {
	t.Helper()
	return newKeptField(t, nil)
}

// newKeptField has a store.
func newKeptField(t *testing.T, store Store) *field {
	t.Helper()
	f := &field{t: t, devices: map[string]*fakeDevice{}, limit: 100}
	f.Service = New(Options{
		Find: f.find, Limit: func() int { return f.limit },
		Ended: func(_ context.Context, _ Request, id string, a Answer) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.deaf == nil {
				f.ended = append(f.ended, fmt.Sprintf("%s %d", id, a.Status))
			}
			return f.deaf
		},
		Failed: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failed = append(f.failed, err)
		},
		Store: store,
		Expired: func(_ Request, id string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.expired = append(f.expired, id)
		},
	})
	t.Cleanup(f.Close)
	return f
}

func (f *field) find(id string) (Device, bool) {
	f.mu.Lock()
	d, ok := f.devices[id]
	looking := f.looking
	f.looking = nil
	f.mu.Unlock()
	if looking != nil {
		looking()
	}
	return d, ok
}

// come connects a device and tells the service, as the session table does.
func (f *field) come(id string, d *fakeDevice) *fakeDevice {
	f.mu.Lock()
	f.devices[id] = d
	f.mu.Unlock()
	f.Wake(id)
	return d
}

// do starts a request that waits.
func (f *field) do(ctx context.Context, device, name string, queueSeconds int) <-chan Answer {
	end := make(chan Answer, 1)
	go func() {
		end <- f.Do(ctx, Request{DeviceID: device, Command: name, TimeoutSeconds: 10, QueueSeconds: queueSeconds})
	}()
	synctest.Wait()
	return end
}

// ends checks the end of a request.
func (f *field) ends(end <-chan Answer, status int) Answer {
	f.t.Helper()
	synctest.Wait()
	select {
	case a := <-end:
		if a.Status != status || len(a.Payload) > 0 && !json.Valid(a.Payload) {
			f.t.Errorf("answered %d %s, want %d", a.Status, a.Payload, status)
		}
		return a
	default:
		f.t.Fatalf("not answered, want %d", status)
		return Answer{}
	}
}

// empty checks that nothing is kept.
func (f *field) empty() {
	f.t.Helper()
	synctest.Wait()
	f.Service.mu.Lock()
	defer f.Service.mu.Unlock()
	if f.count != 0 || len(f.queues) != 0 {
		f.t.Errorf("%d commands are queued in %d queues", f.count, len(f.queues))
	}
}

func TestConnectedDeviceAnswersAtOnce(t *testing.T) {
	cases := []struct {
		name    string
		command func(context.Context, string) (codec.Result, error)
		status  int
	}{
		{"with a value", nil, 200},
		{"with nothing", func(context.Context, string) (codec.Result, error) { return codec.Result{}, nil }, 200},
		{"not at all, which it never does", func(context.Context, string) (codec.Result, error) {
			return codec.Result{Unconfirmed: true}, nil
		}, 202},
		{"with what is no JSON", func(context.Context, string) (codec.Result, error) {
			return codec.Result{Payload: json.RawMessage("{")}, nil
		}, 422},
		{"with a refusal", func(context.Context, string) (codec.Result, error) {
			return codec.Result{Err: errors.New("no")}, nil
		}, 422},
		{"not at all, as its codec finds", func(context.Context, string) (codec.Result, error) {
			return codec.Result{Err: fmt.Errorf("codec: %w", codec.ErrNoAnswer)}, nil
		}, 504},
		{"busy", fails(codec.ErrBusy), 409},
		{"without such a command", fails(codec.ErrUnknownCommand), 422},
		{"with a bad payload", fails(codec.ErrBadCommand), 422},
		{"without commands", fails(errors.ErrUnsupported), 422},
		{"by leaving", fails(errors.New("device disconnected")), 504},
		{"not at all", func(ctx context.Context, _ string) (codec.Result, error) {
			<-ctx.Done()
			return codec.Result{}, ctx.Err()
		}, 504},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField(t)
				f.come("d", &fakeDevice{command: c.command})
				began := time.Now()
				end := f.do(t.Context(), "d", "ask", 0)
				if c.name == "not at all" {
					time.Sleep(10 * time.Second)
				}
				f.ends(end, c.status)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestWhatWasOnlySentIsAnsweredAsSent(t *testing.T) {
	for payload, want := range map[string]string{
		"": `{"sent":true}`, `{"fPort":10}`: `{"sent":true,"codec":{"fPort":10}}`,
	} {
		f := newField(t)
		f.come("d", &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
			return codec.Result{Unconfirmed: true, Payload: json.RawMessage(payload)}, nil
		}})
		a := f.Do(t.Context(), Request{DeviceID: "d", Command: "open", TimeoutSeconds: 1})
		if a.Status != StatusSent || string(a.Payload) != want {
			t.Errorf("status %d, %s, want %s", a.Status, a.Payload, want)
		}
	}
}

func fails(err error) func(context.Context, string) (codec.Result, error) {
	return func(context.Context, string) (codec.Result, error) { return codec.Result{}, err }
}

func TestAbsentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		f.ends(f.do(t.Context(), "d", "ask", 0), 404)
		end := f.do(t.Context(), "d", "ask", 60)
		time.Sleep(60 * time.Second)
		f.ends(end, 408)
		f.empty()
	})
}

func TestQueuedCommandsAreDeliveredInOrderWhenTheDeviceComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		var ends []<-chan Answer
		for _, name := range []string{"one", "two", "three"} {
			ends = append(ends, f.do(t.Context(), "d", name, 60))
		}
		slow := &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
			time.Sleep(time.Second)
			return codec.Result{}, nil
		}}
		f.come("d", slow)
		synctest.Wait()
		f.ends(f.do(t.Context(), "d", "overtakes", 0), 409)
		last := f.do(t.Context(), "d", "four", 60)
		time.Sleep(5 * time.Second)
		for _, end := range append(ends, last) {
			f.ends(end, 200)
		}
		if got := slow.commands(); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
			t.Errorf("the device heard %v", got)
		}
		f.empty()
	})
}

func TestDeviceThatComesInTheMiddleOfALookIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		end := f.do(t.Context(), "d", "ask", 60)
		f.looking = func() { f.come("d", &fakeDevice{}) } // after the worker has looked, before it gives up
		f.Wake("d")
		f.ends(end, 200)
		f.empty()
	})
}

func TestLongQueueingIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		a := f.ends(f.do(t.Context(), "d", "ask", 3600), 202)
		var queued struct {
			CommandID string    `json:"commandId"`
			Expires   time.Time `json:"expires"`
		}
		if err := json.Unmarshal(a.Payload, &queued); err != nil || queued.CommandID == "" ||
			!queued.Expires.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("answered %s: %v", a.Payload, err)
		}
		f.ends(f.do(t.Context(), "e", "ask", 3600), 202)
		f.come("d", &fakeDevice{})
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []string{"2"}; !slices.Equal(f.expired, want) {
			t.Errorf("expired %v, want %v", f.expired, want)
		}
		if want := []string{"1 200", "2 408"}; !slices.Equal(f.ended, want) {
			t.Errorf("ended %v, want %v", f.ended, want)
		}
		f.empty()
	})
}

func TestQueuesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		f.limit = perDevice + 5
		for range perDevice {
			f.ends(f.do(t.Context(), "d", "ask", 3600), 202)
		}
		f.ends(f.do(t.Context(), "d", "one too many", 3600), 429)
		for i := range 5 {
			f.ends(f.do(t.Context(), fmt.Sprint("e", i), "ask", 3600), 202)
		}
		f.ends(f.do(t.Context(), "f", "one too many", 3600), 429)
	})
}

func TestDevicesAreServedSideBySideUpToABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		var ends []<-chan Answer
		for i := range 2 * atOnce {
			ends = append(ends, f.do(t.Context(), fmt.Sprint(i), "ask", 60))
		}
		for i := range 2 * atOnce {
			f.come(fmt.Sprint(i), &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
				time.Sleep(time.Second)
				return codec.Result{}, nil
			}})
		}
		began := time.Now()
		for _, end := range ends {
			<-end
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v, want two rounds of 1s", took)
		}
	})
}

func TestCallerThatLeavesTakesItsCommandAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		ctx, cancel := context.WithCancel(t.Context())
		end := f.do(ctx, "d", "ask", 60)
		cancel()
		f.ends(end, 504)
		f.empty()
		d := f.come("d", &fakeDevice{})
		if got := d.commands(); len(got) != 0 {
			t.Errorf("the device heard %v", got)
		}
	})
}

func TestDeviceThatLeavesAgainLeavesTheRestQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		first, second := f.do(t.Context(), "d", "one", 60), f.do(t.Context(), "d", "two", 60)
		f.come("d", &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
			f.mu.Lock()
			delete(f.devices, "d")
			f.mu.Unlock()
			return codec.Result{}, errors.New("device disconnected")
		}})
		f.ends(first, 504)
		f.come("d", &fakeDevice{})
		f.ends(second, 200)
	})
}

func TestCloseAnswersWhoWaitsAndEndsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		waits := f.do(t.Context(), "d", "ask", 60)
		runs := f.do(t.Context(), "e", "ask", 60)
		f.come("e", &fakeDevice{command: func(ctx context.Context, _ string) (codec.Result, error) {
			<-ctx.Done()
			return codec.Result{}, ctx.Err()
		}})
		synctest.Wait()
		f.Close()
		f.ends(waits, 503)
		f.ends(runs, 504)
		f.ends(f.do(t.Context(), "d", "ask", 60), 503)
		time.Sleep(time.Hour) // no timer comes after the end
		if len(f.ended) != 0 {
			t.Errorf("ended %v", f.ended)
		}
	})
}

func TestInputEndsUnderItsOwnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t)
		m := NewMethods(f.Service, nil, nil, nil, nil, nil, Doors{})
		input := func(id, body string) error {
			err := m.Input(t.Context(), json.RawMessage(body), id)
			synctest.Wait()
			return err
		}
		f.come("slow", &fakeDevice{command: func(context.Context, string) (codec.Result, error) {
			time.Sleep(15 * time.Second)
			return codec.Result{}, nil
		}})
		f.come("quick", &fakeDevice{})
		began := time.Now()
		for id, body := range map[string]string{
			"a": `{"deviceId":"slow","command":"ask"}`,
			"b": `{"deviceId":"absent","command":"ask"}`,
			"c": `{"deviceId":"sleeping","command":"ask","queueSeconds":30}`,
			"d": `{"deviceId":"quick","command":"ask"}`,
		} {
			if err := input(id, body); err != nil {
				t.Error(err)
			}
		}
		if time.Since(began) != 0 {
			t.Errorf("input held the hub up for %v", time.Since(began))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		slices.Sort(f.ended)
		if want := []string{"a 200", "b 404", "c 408", "d 200"}; !slices.Equal(f.ended, want) {
			t.Errorf("ended %v, want %v", f.ended, want)
		}
		for _, bad := range []string{"", "{", `{"deviceId":"d"}`, `{"deviceId":"d","command":"c","more":1}`} {
			if err := input("x", bad); err == nil {
				t.Errorf("%s was taken", bad)
			}
		}
		f.limit = 0
		if err := input("x", `{"deviceId":"d","command":"c"}`); err == nil {
			t.Error("a full queue took a command")
		}
		f.empty()
	})
}
