package edge_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// methodHub has a client on module m that listens to methods.
func methodHub(t *testing.T) (*edge.Hub, *client) {
	t.Helper()
	h := newHub(t, edge.Options{})
	c := newClient()
	h.Connect(module("m"), c)
	h.Subscribe(module("m"), edge.TopicMethods)
	return h, c
}

func TestAMethodReturnsTheModulesAnswer(t *testing.T) {
	t.Parallel()
	h, c := methodHub(t)
	cases := []struct {
		name, payload, want string
		status              int
	}{
		{"a JSON answer", `{"a":1}`, `{"a":1}`, 200},
		{"no payload", ``, `null`, 404},
		{"a payload that is no JSON", `{`, `null`, 200},
		{"an unreadable status", `1`, `null`, edge.StatusUnreadable},
	}
	for _, k := range cases {
		done := make(chan struct{})
		go func() {
			defer close(done)
			call := <-c.methods
			h.AnswerMethod(module("n"), call.Correlation, 500, nil) // another's word counts for nothing
			h.AnswerMethod(module("m"), "unknown", 500, nil)
			h.AnswerMethod(module("m"), strings.ToUpper(call.Correlation), k.status, json.RawMessage(k.payload))
		}()
		got, err := h.Invoke(t.Context(), module("m"), edge.MethodRequest{Name: "ping", Payload: json.RawMessage(`1`)})
		<-done
		if err != nil || got.Status != k.status || string(got.Payload) != k.want {
			t.Errorf("%s: got %+v %s, %v", k.name, got, got.Payload, err)
		}
	}
}

// A client that is about to connect anew listens no more first. A call on its way is not lost.
func TestAMethodThatItsTargetDoesNotTakeWaitsForItToListenAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		wait time.Duration
		want error
	}{
		{"with time to wait", 10 * time.Second, nil},
		{"without", 0, edge.ErrNotConnected},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, m := methodHub(t)
				defer h.Close()
				m.deaf.Store(true)
				over := make(chan struct{})
				defer close(over)
				go func() {
					select {
					case call := <-m.methods:
						h.AnswerMethod(module("m"), call.Correlation, 200, nil)
					case <-over:
					}
				}()
				_, err := h.Invoke(t.Context(), module("m"), edge.MethodRequest{Name: "ping", ConnectTimeout: c.wait})
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestMethodRequestsHaveLimits(t *testing.T) {
	t.Parallel()
	h, _ := methodHub(t)
	cases := map[string]edge.MethodRequest{
		"a blank name":              {Name: " "},
		"a long name":               {Name: strings.Repeat("x", 101)},
		"a short response timeout":  {Name: "x", ResponseTimeout: 4 * time.Second},
		"a long response timeout":   {Name: "x", ResponseTimeout: 301 * time.Second},
		"a long connect timeout":    {Name: "x", ConnectTimeout: 301 * time.Second},
		"a negative connect wait":   {Name: "x", ConnectTimeout: -1},
		"a payload over 128 KiB":    {Name: "x", Payload: json.RawMessage(`"` + strings.Repeat("x", 131072) + `"`)},
		"a payload that is no JSON": {Name: "x", Payload: json.RawMessage(`{`)},
	}
	for name, request := range cases {
		if _, err := h.Invoke(t.Context(), module("m"), request); !errors.Is(err, edge.ErrInvalidMethod) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := h.Invoke(t.Context(), module("stranger"), edge.MethodRequest{Name: "x"}); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Errorf("a stranger: got %v", err)
	}
}

func TestAMethodWithoutSubscriberOrAnswerEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := methodHub(t)
		begun := time.Now()
		if _, err := h.Invoke(t.Context(), module("n"), edge.MethodRequest{Name: "x"}); !errors.Is(err, edge.ErrNotConnected) || time.Since(begun) > 0 {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
		_, err := h.Invoke(t.Context(), module("n"), edge.MethodRequest{Name: "x", ConnectTimeout: 7 * time.Second})
		if !errors.Is(err, edge.ErrNotConnected) || time.Since(begun) != 7*time.Second {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
		_, err = h.Invoke(t.Context(), module("m"), edge.MethodRequest{Name: "x", ResponseTimeout: 5 * time.Second})
		if !errors.Is(err, edge.ErrMethodTimeout) || time.Since(begun) != 12*time.Second {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
	})
}

func TestAParkedMethodIsDeliveredThreeSecondsAfterTheSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		begun := time.Now()
		c := newClient()
		go func() {
			time.Sleep(10 * time.Second)
			h.Connect(module("m"), c)
			h.Subscribe(module("m"), edge.TopicMethods)
			call := <-c.methods
			h.AnswerMethod(module("m"), call.Correlation, 200, nil)
		}()
		_, err := h.Invoke(t.Context(), module("m"), edge.MethodRequest{Name: "x", ConnectTimeout: 20 * time.Second})
		if err != nil || time.Since(begun) != 13*time.Second {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
	})
}

func TestAParkedMethodSurvivesTheEndOfTheTargetsQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		err := h.SetRoutes([]edge.Route{{Name: "r", Text: toInput, Priority: edge.DefaultPriority, TimeToLive: time.Second}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, h, module("m"), body("expires"))
		go func() {
			time.Sleep(5 * time.Second)
			c := newClient()
			h.Connect(module("n"), c)
			h.Subscribe(module("n"), edge.TopicMethods)
			call := <-c.methods
			h.AnswerMethod(module("n"), call.Correlation, 200, nil)
		}()
		if _, err := h.Invoke(t.Context(), module("n"), edge.MethodRequest{Name: "x", ConnectTimeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestACallFromTheCloudWaitsForTheLink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		connect, mended time.Duration
		after           time.Duration
		want            error
	}{
		{"no time to wait", 0, time.Minute, 0, edge.ErrNotConnected},
		{"too long", 10 * time.Second, time.Minute, 10 * time.Second, edge.ErrNotConnected},
		{"in time", 10 * time.Second, 4 * time.Second, 4 * time.Second, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, client := methodHub(t)
				h.CutCloud()
				mended := time.AfterFunc(c.mended, func() {
					if err := h.RestoreCloud(); err != nil {
						t.Error(err)
					}
				})
				defer mended.Stop()
				answered := make(chan struct{})
				defer func() { <-answered }()
				go func() {
					defer close(answered)
					select {
					case call := <-client.methods:
						h.AnswerMethod(module("m"), call.Correlation, 200, nil)
					case <-time.After(time.Hour):
					}
				}()
				begun := time.Now()
				_, err := h.InvokeFromCloud(t.Context(), module("m"), edge.MethodRequest{Name: "x", ConnectTimeout: c.connect})
				if !errors.Is(err, c.want) || time.Since(begun) != c.after {
					t.Fatalf("after %v: %v", time.Since(begun), err)
				}
			})
		})
	}
	h, _ := methodHub(t)
	if _, err := h.InvokeFromCloud(t.Context(), module("m"), edge.MethodRequest{}); !errors.Is(err, edge.ErrInvalidMethod) {
		t.Errorf("without a name: %v", err)
	}
	if _, err := h.InvokeFromCloud(t.Context(), module("x"), edge.MethodRequest{Name: "x"}); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Errorf("of nobody: %v", err)
	}
}
