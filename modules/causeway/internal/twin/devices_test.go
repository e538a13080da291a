package twin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pushed is a Devices at work, with a field of devices that answer as they are
// told to.
type pushed struct {
	*Devices
	mu      sync.Mutex
	answers map[string]func(desired string) (string, error)
	heard   []string
	changes int
}

func push(t *testing.T, told ...*telling) *pushed {
	t.Helper()
	p := &pushed{answers: map[string]func(string) (string, error){}}
	p.Devices = NewDevices(func(_ context.Context, id string, desired json.RawMessage) (json.RawMessage, error) {
		p.mu.Lock()
		answer := p.answers[id]
		p.heard = append(p.heard, id+" "+string(desired))
		p.mu.Unlock()
		if answer == nil {
			return nil, fmt.Errorf("push: %w", ErrAbsent)
		}
		confirmed, err := answer(string(desired))
		return json.RawMessage(confirmed), err
	}, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changes++
	})
	for _, h := range told {
		p.Answered = h.answered
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return p
}

// answer tells how a device answers from now on.
func (p *pushed) answer(id string, f func(string) (string, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[id] = f
}

func confirms(desired string) (string, error) { return desired, nil }

func (p *pushed) configured(desired map[string]string) {
	m := map[string]json.RawMessage{}
	for id, values := range desired {
		m[id] = json.RawMessage(values)
	}
	p.Configured(m)
	synctest.Wait()
}

// now checks what the devices were told since the last look, and the report.
func (p *pushed) now(t *testing.T, heard, report string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	got := strings.Join(p.heard, ", ")
	p.heard = nil
	p.mu.Unlock()
	if got != heard {
		t.Errorf("the devices heard %q, want %q", got, heard)
	}
	b, err := json.Marshal(p.Report())
	if err != nil || string(b) != report {
		t.Errorf("reported %s, want %s: %v", b, report, err)
	}
}

func TestDesiredValuesArePushedAndConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		p.answer("d", confirms)
		p.configured(map[string]string{"d": `{"interval":60}`})
		p.now(t, `d {"interval":60}`, `{"d":{"reported":{"interval":60}}}`)
		p.Present("d")
		p.configured(map[string]string{"d": `{"interval":60}`})
		time.Sleep(2 * pushAgain)
		p.now(t, "", `{"d":{"reported":{"interval":60}}}`) // settled
		p.configured(map[string]string{"d": `{"interval":30}`})
		p.now(t, `d {"interval":30}`, `{"d":{"reported":{"interval":30}}}`)
		p.configured(nil)
		p.Present("d")
		p.now(t, "", `{}`)
		if p.changes != 2 {
			t.Errorf("%d changes were told", p.changes)
		}
	})
}

func TestAbsentDeviceIsToldWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		p.configured(map[string]string{"d": `{"a":1}`})
		p.now(t, `d {"a":1}`, `{}`)
		p.answer("d", confirms)
		p.Present("somebody else")
		p.Present("d")
		p.now(t, `d {"a":1}`, `{"d":{"reported":{"a":1}}}`)
	})
}

func TestDeviceThatComesWhileItIsLookedForIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		p.answer("d", func(string) (string, error) {
			p.answer("d", confirms)
			p.Present("d")
			return "", ErrAbsent
		})
		p.configured(map[string]string{"d": `{"a":1}`})
		p.now(t, `d {"a":1}, d {"a":1}`, `{"d":{"reported":{"a":1}}}`)
	})
}

func TestDeviceThatDoesNotConfirmIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		p.answer("d", func(string) (string, error) { return "", errors.New("device busy") })
		p.configured(map[string]string{"d": `{"a":1}`})
		p.now(t, `d {"a":1}`, `{"d":{"error":"device busy"}}`)
		p.answer("d", confirms)
		time.Sleep(pushAgain)
		p.now(t, `d {"a":1}`, `{"d":{"reported":{"a":1}}}`)
	})
}

func TestOneDeviceIsSpokenToOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		p.answer("d", func(desired string) (string, error) {
			time.Sleep(10 * time.Second)
			return desired, nil
		})
		p.configured(map[string]string{"d": `{"a":1}`})
		for range 5 {
			p.Present("d")
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		p.now(t, `d {"a":1}`, `{"d":{"reported":{"a":1}}}`)
	})
}

func TestSilentDevicesDoNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		silent := func(string) (string, error) {
			time.Sleep(30 * time.Second)
			return "", errors.New("no answer")
		}
		for i := range 2 * pushesAtOnce {
			id := fmt.Sprintf("silent-%d", i)
			p.answer(id, silent)
			p.Want(id, json.RawMessage(`{}`))
		}
		synctest.Wait()
		began := time.Now()
		told := make(chan time.Duration, 1)
		p.answer("d", func(desired string) (string, error) {
			told <- time.Since(began)
			return desired, nil
		})
		p.Want("d", json.RawMessage(`{}`))
		if waited := <-told; waited > time.Minute {
			t.Errorf("it was told after %v", waited)
		}
		time.Sleep(time.Minute) // the silent ones are heard out
	})
}

func TestReportOfDevicesIsBoundedAndAlwaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := push(t)
		desired := map[string]string{}
		for i := range 500 {
			id := fmt.Sprintf("device-%03d", i)
			desired[id] = `"` + strings.Repeat("x", 100) + `"`
			p.answer(id, confirms)
		}
		desired["a-large"], desired["a-long"] = "1", "1"
		p.answer("a-large", func(string) (string, error) { return `"` + strings.Repeat("x", confirmedLimit) + `"`, nil })
		p.answer("a-long", func(string) (string, error) { return "", errors.New(strings.Repeat("ä", confirmedLimit)) })
		p.configured(desired)
		first, err := json.Marshal(p.Report())
		if err != nil || len(first) > 32_000 || len(first) < 10_000 {
			t.Fatalf("a report of %d bytes: %v", len(first), err)
		}
		for range 5 {
			if b, _ := json.Marshal(p.Report()); string(b) != string(first) {
				t.Fatal("the report of the same state differs")
			}
		}
		if !strings.Contains(string(first), "too large") || !strings.Contains(string(first), `"device-000"`) {
			t.Errorf("reported %s", first)
		}
	})
}

// telling is what a device's own twin has been told.
type telling struct {
	mu    sync.Mutex
	fails bool
	heard []string
}

func (h *telling) answered(_ context.Context, device string, a DeviceAnswer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails {
		return errors.New("not connected")
	}
	words := fmt.Sprintf("%s %s %s", device, a.Confirmed, a.Failure)
	if a.Sent {
		words += " (sent)"
	}
	h.heard = append(h.heard, words)
	return nil
}

func TestWhatADeviceConfirmedIsToldAgainUntilItIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &telling{fails: true}
		p := push(t, h)
		p.answer("a", confirms)
		p.Want("a", json.RawMessage(`{"x":1}`))
		synctest.Wait()
		h.mu.Lock()
		h.fails = false
		h.mu.Unlock()
		time.Sleep(pushAgain)
		synctest.Wait()
		if got := fmt.Sprint(h.heard); got != `[a {"x":1} ]` {
			t.Errorf("told %s", got)
		}
		if len(p.heard) != 1 {
			t.Errorf("the device heard %v", p.heard)
		}
		time.Sleep(3 * pushAgain)
		if synctest.Wait(); len(h.heard) != 1 {
			t.Errorf("told %v", h.heard)
		}
	})
}

// A device that never answers would get its values every minute.
func TestWhatWasSentAndIsNeverConfirmedIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &telling{}
		p := push(t, h)
		p.answer("d", func(desired string) (string, error) { return desired, fmt.Errorf("push: %w", ErrUnconfirmed) })
		p.configured(map[string]string{"d": `{"a":1}`})
		p.now(t, `d {"a":1}`, `{"d":{"error":"sent, and the protocol confirms nothing"}}`)
		p.Present("d")
		time.Sleep(3 * pushAgain)
		p.now(t, "", `{"d":{"error":"sent, and the protocol confirms nothing"}}`)
		if got := fmt.Sprint(h.heard); got != "[d  sent, and the protocol confirms nothing (sent)]" {
			t.Errorf("told %s", got)
		}
		p.answer("d", confirms)
		p.configured(map[string]string{"d": `{"a":2}`})
		p.now(t, `d {"a":2}`, `{"d":{"reported":{"a":2}}}`)
	})
}

// Each telling is a write of a twin, of which the hub takes only so many.
func TestAFailureIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &telling{}
		p := push(t, h)
		p.answer("a", func(string) (string, error) { return "", errors.New("codec has no such command") })
		p.Want("a", json.RawMessage(`{"x":1}`))
		time.Sleep(5 * pushAgain)
		synctest.Wait()
		if got := fmt.Sprint(h.heard); got != "[a  codec has no such command]" {
			t.Errorf("told %s", got)
		}
		p.answer("a", confirms)
		time.Sleep(pushAgain)
		if synctest.Wait(); len(h.heard) != 2 {
			t.Errorf("told %v", h.heard)
		}
	})
}
