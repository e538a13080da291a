package edge_test

import (
	"encoding/json"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func module(name string) edge.Identity { return edge.Identity{Device: "edge", Module: name} }

// newHub starts a hub with the modules m and n, and a route of everything upstream.
func newHub(t testing.TB, opts edge.Options) *edge.Hub {
	t.Helper()
	h, err := edge.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	for _, name := range []string{"m", "n"} {
		if err := h.AddIdentity(module(name), ""); err != nil {
			t.Fatal(err)
		}
	}
	setRoutes(t, h, "FROM /* INTO $upstream")
	return h
}

func setRoutes(t testing.TB, h *edge.Hub, texts ...string) {
	t.Helper()
	var routes []edge.Route
	for i, text := range texts {
		routes = append(routes, edge.Route{Name: string(rune('a' + i)), Text: text, Priority: edge.DefaultPriority})
	}
	if err := h.SetRoutes(routes, 0); err != nil {
		t.Fatal(err)
	}
}

// client is a session whose events can be waited for.
type client struct {
	desired chan string
	methods chan edge.MethodCall
	inputs  chan edge.Delivery
	mu      sync.Mutex
	closed  []string
}

func newClient() *client {
	return &client{
		desired: make(chan string, 100), methods: make(chan edge.MethodCall, 100), inputs: make(chan edge.Delivery, 100),
	}
}

func (c *client) Desired(patch json.RawMessage) { c.desired <- string(patch) }
func (c *client) Method(call edge.MethodCall)   { c.methods <- call }
func (c *client) Input(d edge.Delivery)         { c.inputs <- d }
func (c *client) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = append(c.closed, reason)
}

func (c *client) reasons() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.closed...)
}

func publish(t testing.TB, h *edge.Hub, from edge.Identity, messages ...edge.Message) {
	t.Helper()
	if err := h.Publish(t.Context(), from, messages); err != nil {
		t.Fatal(err)
	}
}

func body(text string) edge.Message { return edge.Message{Output: "o", Body: []byte(text)} }

// arrived returns the bodies that reached the cloud.
func arrived(t testing.TB, h *edge.Hub) []string {
	t.Helper()
	var bodies []string
	for _, m := range h.Messages(t.Context(), 0, 100000, 0) {
		bodies = append(bodies, string(m.Message.Body))
	}
	return bodies
}
