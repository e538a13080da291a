package edge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/route"
)

// Route is one route as the manifest names it.
type Route struct {
	Name string `json:"name"`
	Text string `json:"route"`
	// Priority is 0 to 9, or DefaultPriority.
	Priority uint32 `json:"priority"`
	// TimeToLive is how long a message may wait; zero takes the hub's.
	TimeToLive time.Duration `json:"-"`
	// Taken is set by Routes: how many messages the route has taken since it was set.
	Taken uint64 `json:"taken"`
}

// maxRoutes and maxSources bound the routes and the sources whose routes are remembered.
const (
	maxRoutes  = 1000
	maxSources = 4096
)

type compiledRoute struct {
	Route
	parsed *route.Route
	taken  *atomic.Uint64
}

// routing is one immutable set of routes, with what each source was found to match.
type routing struct {
	routes  []compiledRoute
	ttl     time.Duration
	sources sync.Map // string -> []*compiledRoute
	known   atomic.Int32
}

// SetRoutes replaces all routes at once. ttl is the hub's time to live, below or equal to
// zero for no end. An error names the route and leaves the old ones in place.
func (h *Hub) SetRoutes(routes []Route, ttl time.Duration) error {
	if len(routes) > maxRoutes {
		return fmt.Errorf("set routes: %d routes, at most %d are allowed", len(routes), maxRoutes)
	}
	table := &routing{ttl: ttl}
	for _, r := range routes {
		parsed, err := route.Parse(r.Text)
		if err != nil {
			return fmt.Errorf("route %s: %w", r.Name, err)
		}
		table.routes = append(table.routes, compiledRoute{Route: r, parsed: parsed, taken: new(atomic.Uint64)})
	}
	slices.SortStableFunc(table.routes, func(a, b compiledRoute) int {
		if a.Priority != b.Priority {
			if a.Priority < b.Priority {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	h.routing.Store(table)
	return nil
}

// Routes lists the routes, lowest priority number first.
func (h *Hub) Routes() []Route {
	table := h.routing.Load()
	list := make([]Route, len(table.routes))
	for i := range table.routes {
		list[i] = table.routes[i].Route
		list[i].Taken = table.routes[i].taken.Load()
	}
	return list
}

// candidates returns the routes that the source enters, in order of priority.
func (t *routing) candidates(source string) []*compiledRoute {
	if found, ok := t.sources.Load(source); ok {
		return found.([]*compiledRoute)
	}
	var list []*compiledRoute
	for i := range t.routes {
		if t.routes[i].parsed.MatchSource(source) {
			list = append(list, &t.routes[i])
		}
	}
	if t.known.Add(1) <= maxSources {
		t.sources.Store(source, list)
	}
	return list
}

// expires is when a message on that route is dropped; zero for never.
func (t *routing) expires(r *compiledRoute, now time.Time) time.Time {
	ttl := r.TimeToLive
	if ttl <= 0 {
		ttl = t.ttl
	}
	if ttl <= 0 {
		return time.Time{}
	}
	return now.Add(ttl)
}

// routeMessage is the message as conditions see it, with the properties that the hub adds.
func routeMessage(source string, m *Message) *route.Message {
	system := make(map[string]string, len(m.System)+4)
	for name, value := range m.System {
		system[name] = value
	}
	system["connectionDeviceId"] = m.From.Device
	if m.From.Module != "" {
		system["connectionModuleId"] = m.From.Module
	}
	if m.Output != "" {
		system["outputName"] = m.Output
	}
	system["enqueuedTime"] = m.Enqueued.UTC().Format(time.RFC3339Nano)
	return &route.Message{Source: source, Properties: m.Properties, System: system, Body: m.Body}
}

func sourceOf(m *Message) string {
	if m.From.Module == "" {
		return route.LeafSource
	}
	return route.ModuleSource(m.From.Module, m.Output)
}
