package twin

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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeHub has a twin, and fails on request.
type fakeHub struct {
	mu                sync.Mutex
	desired, reported string
	fetches           int
	failing           error
	patches           []string
	reporting         func() // called in the middle of a report
}

func (h *fakeHub) Twin(context.Context) (desired, reported json.RawMessage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fetches++
	return json.RawMessage(h.desired), json.RawMessage(h.reported), h.failing
}

func (h *fakeHub) Report(_ context.Context, patch json.RawMessage) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing != nil {
		return h.failing
	}
	h.patches = append(h.patches, string(patch))
	if h.reporting != nil {
		h.reporting()
	}
	return nil
}

func (h *fakeHub) set(desired string, failing error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.desired, h.failing = desired, failing
}

func (h *fakeHub) reports() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.patches)
}

// follower is a Desired at work, with all that it applied.
type follower struct {
	*Desired
	hub                      *fakeHub
	applied                  []string
	fetched, failed, working int
	holding                  chan struct{} // apply waits for it, when it is there
}

func follow(t *testing.T, desired string) *follower {
	t.Helper()
	f := &follower{hub: &fakeHub{desired: desired, reported: "{}"}}
	f.Desired = New(Options{
		Hub: f.hub,
		Merge: func(document, patch []byte) ([]byte, error) {
			if string(patch) == `{"$version":3,"bad":1}` {
				return nil, errors.New("cannot be merged")
			}
			var target, change any
			if err := errors.Join(json.Unmarshal(document, &target), json.Unmarshal(patch, &change)); err != nil {
				return nil, err
			}
			return json.Marshal(mergePatch(target, change))
		},
		Apply: func(desired json.RawMessage, version int64) {
			f.working++
			if f.holding != nil {
				<-f.holding
			}
			f.applied = append(f.applied, fmt.Sprintf("%d %s", version, desired))
		},
		Fetched: func(json.RawMessage) { f.fetched++ },
		Failed:  func(error) { f.failed++ },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// now lets everything settle and checks what was applied since, and all fetches.
func (f *follower) now(t *testing.T, fetches int, applied ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(f.applied, applied) || f.hub.fetches != fetches {
		t.Fatalf("applied %q after %d fetches, want %q after %d", f.applied, f.hub.fetches, applied, fetches)
	}
	f.applied = nil
}

func (f *follower) patch(text string) { f.Patch(json.RawMessage(text)); synctest.Wait() }

func TestPatchesFollowTheVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{"a":1,"$version":1}`)
		f.Connected()
		f.now(t, 1, `1 {"a":1,"$version":1}`)
		f.patch(`{"b":2,"$version":2}`)
		f.now(t, 1, `2 {"$version":2,"a":1,"b":2}`)
		for _, old := range []string{`{"b":9,"$version":2}`, `{"b":9,"$version":1}`, `{"b":9,"$version":0}`} {
			f.patch(old)
		}
		f.now(t, 1)
		f.hub.set(`{"c":5,"$version":5}`, nil)
		f.patch(`{"a":null,"$version":4}`) // 3 is missing
		f.now(t, 2, `5 {"c":5,"$version":5}`)
		f.patch(`{"c":null,"$version":6}`)
		f.now(t, 2, `6 {"$version":6}`)
		f.hub.set(`{"c":7,"$version":7}`, nil)
		f.patch(`{"c":7}`) // no version at all
		f.now(t, 3, `7 {"c":7,"$version":7}`)
	})
}

func TestReconnectFetchesAndAppliesOnlyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{"$version":1}`)
		f.Connected()
		f.now(t, 1, `1 {"$version":1}`)
		f.Connected()
		f.now(t, 2)
		f.hub.set(`{"a":1,"$version":4}`, nil) // patches were missed
		f.Connected()
		f.now(t, 3, `4 {"a":1,"$version":4}`)
		f.hub.set(`{"b":1,"$version":1}`, nil) // the module was deleted and made again
		f.Connected()
		f.now(t, 4, `1 {"b":1,"$version":1}`)
		if f.fetched != 4 {
			t.Errorf("the reporter heard of %d fetches", f.fetched)
		}
	})
}

func TestTwinThatTheHubDoesNotKnowChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{}`)
		f.Connected()
		f.now(t, 1)
		f.hub.set(`{"a":1,"$version":1}`, nil)
		f.patch(`{"a":1,"$version":1}`) // nothing to apply it to
		f.now(t, 2, `1 {"a":1,"$version":1}`)
		for _, nothing := range []string{"", "null", "{}", "[]", `{"$version":"1"}`} {
			f.hub.set(nothing, nil)
			f.Connected()
			synctest.Wait()
		}
		f.now(t, 7)
		f.patch(`{"b":2,"$version":2}`) // what was in force stays the base
		f.now(t, 7, `2 {"$version":2,"a":1,"b":2}`)
	})
}

func TestFailedFetchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{"$version":1}`)
		f.hub.set(`{"$version":1}`, errors.New("hub is busy"))
		f.Connected()
		time.Sleep(2*fetchAgain + time.Second)
		f.now(t, 3)
		f.hub.set(`{"$version":1}`, nil)
		time.Sleep(fetchAgain)
		f.now(t, 4, `1 {"$version":1}`)
		if f.failed != 3 {
			t.Errorf("%d failures were told", f.failed)
		}
	})
}

func TestPatchThatCannotBeMergedIsReplacedByTheWholeTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{"$version":2}`)
		f.Connected()
		synctest.Wait()
		f.hub.set(`{"good":1,"$version":3}`, nil)
		f.patch(`{"$version":3,"bad":1}`)
		f.now(t, 2, `2 {"$version":2}`, `3 {"good":1,"$version":3}`)
	})
}

func TestFloodOfPatchesEndsInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, `{"$version":1}`)
		f.holding = make(chan struct{})
		f.Connected()
		synctest.Wait() // the first document is being applied
		const last = 5 * patchesWaiting
		for v := 2; v <= last; v++ {
			f.Patch(json.RawMessage(fmt.Sprintf(`{"v":%d,"$version":%d}`, v, v)))
		}
		f.hub.set(fmt.Sprintf(`{"v":%d,"$version":%d}`, last, last), nil)
		close(f.holding)
		synctest.Wait()
		if f.version != last || f.hub.fetches < 2 {
			t.Errorf("version %d after %d fetches, want %d", f.version, f.hub.fetches, last)
		}
	})
}
