package twin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// mergePatch is the algorithm of RFC 7396, section 2, as it is written there.
func mergePatch(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range change {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergePatch(object[name], value)
		}
	}
	return object
}

// objects draws JSON objects with few names, so that they meet.
func objects(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		object := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			object[rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")] = values(depth).Draw(t, "value")
		}
		return object
	})
}

func values(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
		case kind == 0:
			return nil
		case kind == 1:
			return rapid.Bool().Draw(t, "bool")
		case kind == 2:
			return rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")
		case kind == 3:
			return []any{float64(1), "x"}[:rapid.IntRange(0, 2).Draw(t, "items")]
		case kind == 4 || depth == 0:
			return float64(rapid.IntRange(0, 3).Draw(t, "number"))
		default:
			return objects(depth-1).Draw(t, "object")
		}
	})
}

func TestDifferenceAppliedGivesTheNewDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, err := plain(objects(3).Draw(t, "from"))
		if err != nil {
			t.Fatal(err)
		}
		to, err := plain(objects(3).Draw(t, "to"))
		if err != nil {
			t.Fatal(err)
		}
		patch := difference(from, to)
		if (len(patch) == 0) != reflect.DeepEqual(from, to) {
			t.Fatalf("the patch is %v", patch)
		}
		b, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		var sent any
		if err := json.Unmarshal(b, &sent); err != nil {
			t.Fatal(err)
		}
		if got := mergePatch(from, sent); !reflect.DeepEqual(got, any(to)) {
			t.Fatalf("patch %s gives %v, want %v", b, got, to)
		}
	})
}

// reporter is a Reported with its source.
type reporter struct {
	*Reported
	hub *fakeHub

	mu     sync.Mutex
	source map[string]any
	failed []error
}

func newReporter() *reporter {
	r := &reporter{hub: &fakeHub{}, source: map[string]any{}}
	r.Reported = NewReported(r.hub, func() map[string]any {
		r.mu.Lock()
		defer r.mu.Unlock()
		return maps.Clone(r.source)
	}, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed = append(r.failed, err)
	})
	return r
}

func (r *reporter) describe(name string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.source[name] = value
}

func (r *reporter) flush(t *testing.T, want ...string) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.hub.patches, want) {
		t.Fatalf("reported %q, want %q", r.hub.patches, want)
	}
	r.hub.patches = nil
}

func TestOnlyChangesAreReportedAndStaleKeysGo(t *testing.T) {
	r := newReporter()
	r.source["version"] = 1
	r.flush(t) // the hub was not asked yet
	r.Fetched(json.RawMessage(`{"stale":{"x":1},"version":1,"listeners":{"old":{"state":"listening"}},"$version":7,"$metadata":{}}`))
	r.source["listeners"] = map[string]any{"new": map[string]any{"state": "failed", "error": nil}}
	r.flush(t, `{"listeners":{"new":{"state":"failed"},"old":null},"stale":null}`)
	r.flush(t)
	r.source["version"] = 2
	r.flush(t, `{"version":2}`)
	delete(r.source, "version")
	r.flush(t, `{"version":null}`)
}

func TestTwinWithoutReportedPropertiesGetsThemAll(t *testing.T) {
	for _, reported := range []string{"", "null", "{}", "[]", "garbage"} {
		r := newReporter()
		r.source["version"] = 1
		r.Fetched(json.RawMessage(reported))
		r.flush(t, `{"version":1}`)
	}
}

func TestReportThatFailedIsMadeAgain(t *testing.T) {
	r := newReporter()
	r.Fetched(nil)
	r.source["version"] = 1
	r.hub.set("", errors.New("hub is busy"))
	if err := r.Flush(t.Context()); err == nil {
		t.Fatal("no error")
	}
	r.hub.set("", nil)
	r.flush(t, `{"version":1}`)
}

func TestFetchInTheMiddleOfAReportCounts(t *testing.T) {
	r := newReporter()
	r.Fetched(nil)
	r.source["version"] = 1
	r.hub.reporting = func() { r.Fetched(json.RawMessage(`{"version":1,"stale":1}`)) }
	r.flush(t, `{"version":1}`)
	r.hub.reporting = nil
	r.flush(t, `{"stale":null}`)
}

func TestReportThatCannotBeMade(t *testing.T) {
	r := newReporter()
	r.Fetched(nil)
	r.source["large"] = strings.Repeat("x", reportedLimit)
	if err := r.Flush(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	r.source = map[string]any{"function": func() {}}
	if err := r.Flush(t.Context()); err == nil {
		t.Error("a description that is no JSON was reported")
	}
	if len(r.hub.patches) != 0 {
		t.Errorf("reported %q", r.hub.patches)
	}
}

func TestChangesThatComeTogetherAreOneReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReporter()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		defer func() { cancel(); <-ended }()
		r.describe("n", 1)
		r.Fetched(nil)
		for range 10 {
			time.Sleep(reportSoon / 20)
			r.Changed()
		}
		time.Sleep(2 * reportSoon)
		synctest.Wait()
		if got := r.hub.reports(); !slices.Equal(got, []string{`{"n":1}`}) {
			t.Errorf("reported %q", got)
		}
		r.describe("n", 2) // counts that nobody announces
		time.Sleep(reportEvery)
		synctest.Wait()
		if got := r.hub.reports(); !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`}) {
			t.Errorf("reported %q", got)
		}
		r.hub.set("", errors.New("hub is busy"))
		r.describe("n", 3)
		r.Changed()
		time.Sleep(2 * reportSoon)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.failed) != 1 {
			t.Errorf("failures %v", r.failed)
		}
	})
}
