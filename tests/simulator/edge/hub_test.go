package edge_test

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func module(name string) edge.Identity { return edge.Identity{Device: "edge", Module: name} }

// newHub starts a hub with the modules m and n, and a route of everything upstream.
func newHub(tb testing.TB, opts edge.Options) *edge.Hub {
	tb.Helper()
	h, err := edge.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.Close)
	for _, name := range []string{"m", "n"} {
		if err := h.AddIdentity(module(name), ""); err != nil {
			tb.Fatal(err)
		}
	}
	setRoutes(tb, h, "FROM /* INTO $upstream")
	return h
}

func setRoutes(tb testing.TB, h *edge.Hub, texts ...string) {
	tb.Helper()
	var routes []edge.Route
	for i, text := range texts {
		routes = append(routes, edge.Route{Name: string(rune('a' + i)), Text: text, Priority: edge.DefaultPriority})
	}
	if err := h.SetRoutes(routes, 0); err != nil {
		tb.Fatal(err)
	}
}

// client is a session whose events can be waited for.
type client struct {
	desired chan string
	methods chan edge.MethodCall
	inputs  chan edge.Delivery
	deaf    atomic.Bool // to the next method
	mu      sync.Mutex
	closed  []string
}

func newClient() *client {
	return &client{
		desired: make(chan string, 100), methods: make(chan edge.MethodCall, 100), inputs: make(chan edge.Delivery, 100),
	}
}

func (c *client) Desired(patch json.RawMessage) { c.desired <- string(patch) }
func (c *client) Method(call edge.MethodCall) (taken bool) {
	if c.deaf.Swap(false) {
		return false
	}
	c.methods <- call
	return true
}
func (c *client) Input(d edge.Delivery) { c.inputs <- d }
func (c *client) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = append(c.closed, reason)
}

func (c *client) Reset() { c.Close("reset") }

func (c *client) reasons() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.closed...)
}

func publish(tb testing.TB, h *edge.Hub, from edge.Identity, messages ...edge.Message) {
	tb.Helper()
	if err := h.Publish(tb.Context(), from, messages); err != nil {
		tb.Fatal(err)
	}
}

func body(text string) edge.Message { return edge.Message{Output: "o", Body: []byte(text)} }

// arrived returns the bodies that reached the cloud.
func arrived(tb testing.TB, h *edge.Hub) []string {
	tb.Helper()
	var bodies []string
	for _, m := range h.Messages(tb.Context(), 0, 100000, 0) {
		bodies = append(bodies, string(m.Message.Body))
	}
	return bodies
}
