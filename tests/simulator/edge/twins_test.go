package edge_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/state"
	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

var metadata = regexp.MustCompile(`"\$metadata":\{[^}]*\},?`)

// readTwin is the twin as a client gets it, without metadata.
func readTwin(t *testing.T, h *edge.Hub) string {
	t.Helper()
	doc, err := h.Twin(t.Context(), module("m"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(metadata.ReplaceAllString(string(doc), ""), ",}", "}")
}

func patchDesired(t *testing.T, h *edge.Hub, patch string) {
	t.Helper()
	doc, err := twin.Decode([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.PatchTwin(t.Context(), module("m"), edge.TwinPatch{Desired: doc}); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, h *edge.Hub, patch string) {
	t.Helper()
	if err := h.PatchReported(t.Context(), module("m"), json.RawMessage(patch)); err != nil {
		t.Fatal(err)
	}
}

func subscribed(h *edge.Hub) *client {
	c := newClient()
	h.Connect(module("m"), c)
	h.Subscribe(module("m"), edge.TopicDesired)
	return c
}

func TestTwinsHaveVersionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if got, want := readTwin(t, h), `{"desired":{"$version":1},"reported":{"$version":1}}`; got != want {
		t.Fatalf("got %s", got)
	}
	patchDesired(t, h, `{"a":1,"b":{"c":2}}`)
	patchDesired(t, h, `{"b":{"c":null,"d":3}}`)
	report(t, h, `{"x":true}`)
	if got, want := readTwin(t, h), `{"desired":{"$version":3,"a":1,"b":{"d":3}},"reported":{"$version":2,"x":true}}`; got != want {
		t.Fatalf("got %s", got)
	}
}

func TestReportedPatchesAreValidatedAndRouted(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	err := h.PatchReported(t.Context(), module("m"), json.RawMessage(`{"a":[null]}`))
	if !errors.Is(err, edge.ErrInvalidTwin) {
		t.Fatalf("got %v", err)
	}
	if err := h.PatchReported(t.Context(), module("m"), json.RawMessage(`{`)); err == nil || errors.Is(err, edge.ErrInvalidTwin) {
		t.Fatalf("malformed JSON: %v", err)
	}
	report(t, h, `{"a":1}`)
	list := h.Messages(t.Context(), 0, 10, 0)
	if len(list) != 1 || list[0].Source != "/twinChangeNotifications" ||
		string(list[0].Message.Body) != `{"properties":{"reported":{"a":1}}}` {
		t.Fatalf("got %+v", list)
	}
}

func TestDesiredPatchesReachASubscriber(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	patchDesired(t, h, `{"before":1}`)
	c := subscribed(h)
	readTwin(t, h)
	patchDesired(t, h, `{"a":1,"before":null}`)
	if got := <-c.desired; got != `{"$version":3,"a":1,"before":null}` {
		t.Fatalf("got %s", got)
	}
	h.Unsubscribe(module("m"), edge.TopicDesired)
	patchDesired(t, h, `{"missed":1}`)
	h.Subscribe(module("m"), edge.TopicDesired)
	patchDesired(t, h, `{"a":2}`)
	if got := <-c.desired; got != `{"$version":5,"a":2,"missed":1}` {
		t.Fatalf("after a gap the difference must come, got %s", got)
	}
}

func TestServicePatchesKeepTheirRules(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	bad := map[string]any{"a.b": json.Number("1")}
	if _, err := h.PatchTwin(t.Context(), module("m"), edge.TwinPatch{Desired: bad}); !errors.Is(err, edge.ErrInvalidTwin) {
		t.Fatalf("got %v", err)
	}
	patchDesired(t, h, `{"a":1}`)
	if _, err := h.PatchTwin(t.Context(), module("m"), edge.TwinPatch{ETag: "v1"}); !errors.Is(err, edge.ErrTwinChanged) {
		t.Fatalf("an old etag was taken: %v", err)
	}
	if _, err := h.PatchTwin(t.Context(), module("x"), edge.TwinPatch{}); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Fatalf("got %v", err)
	}
	if err := h.SetDesired(t.Context(), module("m"), json.RawMessage(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := readTwin(t, h); !strings.Contains(got, `"$version":2,"a":1`) {
		t.Fatalf("an equal deployment raised the version: %s", got)
	}
	if err := h.SetDesired(t.Context(), module("m"), json.RawMessage(`{"b":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := readTwin(t, h); !strings.Contains(got, `"desired":{"$version":3,"b":1}`) {
		t.Fatalf("got %s", got)
	}
}

func TestWithoutTheCloudTwinsLiveFromTheStoredCopy(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	patchDesired(t, h, `{"a":1}`)
	h.CutCloud()
	if got := readTwin(t, h); got != `{"desired":{},"reported":{}}` {
		t.Fatalf("a twin never read must be empty, got %s", got)
	}
	if err := h.RestoreCloud(); err != nil {
		t.Fatal(err)
	}
	readTwin(t, h)
	c := subscribed(h)
	h.CutCloud()
	patchDesired(t, h, `{"a":null,"b":2}`)
	patchDesired(t, h, `{"c":3}`)
	report(t, h, `{"x":1}`)
	report(t, h, `{"x":null,"y":1}`)
	if got := readTwin(t, h); got != `{"desired":{"$version":2,"a":1},"reported":{"$version":1,"y":1}}` {
		t.Fatalf("stored copy %s", got)
	}
	if len(c.desired) != 0 {
		t.Fatal("a patch came through a cut link")
	}
	if err := h.RestoreCloud(); err != nil {
		t.Fatal(err)
	}
	if got := <-c.desired; got != `{"$version":4,"a":null,"b":2,"c":3}` {
		t.Fatalf("difference %s", got)
	}
	if got := readTwin(t, h); got != `{"desired":{"$version":4,"b":2,"c":3},"reported":{"$version":2,"y":1}}` {
		t.Fatalf("got %s", got)
	}
}

func TestIdentitiesAndTwinsComeBackFromTheFolder(t *testing.T) {
	t.Parallel()
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first := newHub(t, edge.Options{Keep: dir})
	patchDesired(t, first, `{"big":4503599627370495}`)
	report(t, first, `{"x":1}`)
	want := readTwin(t, first)
	key, err := first.Known(module("m"))
	if err != nil {
		t.Fatal(err)
	}
	again := newHub(t, edge.Options{Keep: dir})
	if got := readTwin(t, again); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if got, err := again.Known(module("m")); err != nil || got != key {
		t.Fatalf("got %+v, %v", got, err)
	}
}
