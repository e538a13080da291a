package edge

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// client is what the hub holds for an identity that is, or was, or is waited for.
// Guarded by Hub.mu.
type client struct {
	id      Identity
	session Session
	// direct is a session with the cloud, which asks for no scope.
	direct bool
	topics [TopicC2D + 1]bool
	// changed is closed and replaced whenever session or topics change.
	changed chan struct{}
	inputs  queue
	// generation counts purges: what was taken from the queue before one is dropped.
	generation int
	pumping    bool
}

// clientOf returns the entry of an identity, making it when needed. Caller holds mu.
func (h *Hub) clientOf(id Identity) *client {
	c, ok := h.clients[id]
	if !ok {
		c = &client{id: id, changed: make(chan struct{})}
		if c.inputs.limit(h.opts.QueueMessages, h.opts.QueueBytes); id.Module == "" {
			c.inputs.limit(maxCloudToDevice, maxCloudToDevice*maxCloudMessage)
		}
		h.clients[id] = c
	}
	return c
}

func (c *client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Connect implements Head: the newest session wins. Connecting to a closed hub closes the
// session at once. One client too many is not entered: the hub takes its telemetry, and
// has nobody to give anything to.
func (h *Hub) Connect(id Identity, s Session) (leave func()) { return h.connect(id, s, false) }

// connect enters the session; direct is a connection to the
// cloud, which the limit of clients is not about.
func (h *Hub) connect(id Identity, s Session, direct bool) (leave func()) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		s.Close("the hub is closed")
		return func() {}
	}
	if !direct && !h.bind(id) {
		h.mu.Unlock()
		return func() {}
	}
	c := h.clientOf(id)
	old := c.session
	c.session, c.direct, c.topics = s, direct, [TopicC2D + 1]bool{}
	c.change()
	h.mu.Unlock()
	h.counters.connects.Add(1)
	h.seen.note(id, h.opts.Now()).connections.Add(1)
	if old != nil {
		old.Close("Multiple connections detected for " + id.String())
	}
	return func() { h.leave(c, s) }
}

func (h *Hub) leave(c *client, s Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.session != s {
		return
	}
	c.session, c.topics = nil, [TopicC2D + 1]bool{}
	c.change()
	h.seen.note(c.id, h.opts.Now())
	if c.inputs.len() == 0 && !c.pumping {
		delete(h.clients, c.id)
	}
}

// Subscribe implements Head. Without a session it is refused.
func (h *Hub) Subscribe(id Identity, t Topic) error {
	if !h.setTopic(id, t, true) {
		return &Refusal{ConditionInternal, "A connection for " + id.String() + " not found."}
	}
	return nil
}

// Unsubscribe implements Head.
func (h *Hub) Unsubscribe(id Identity, t Topic) { h.setTopic(id, t, false) }

// setTopic says whether there was a session.
func (h *Hub) setTopic(id Identity, t Topic, on bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.clients[id]
	if !ok || c.session == nil || t < 0 || int(t) >= len(c.topics) {
		return false
	}
	if c.topics[t] != on {
		c.topics[t] = on
		c.change()
	}
	return true
}

// subscriber returns the session of an identity that listens to the topic, or nil, and
// the channel that is closed when that changes.
func (h *Hub) subscriber(id Identity, t Topic) (Session, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.clientOf(id)
	if c.session == nil || !c.topics[t] {
		return nil, c.changed
	}
	return c.session, c.changed
}

// Connected says whether the identity has a session.
func (h *Hub) Connected(id Identity) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.clients[id]
	return ok && c.session != nil
}

// Subscribed says whether the identity listens to the topic.
func (h *Hub) Subscribed(id Identity, t Topic) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.clients[id]
	return ok && c.session != nil && c.topics[t]
}

func (h *Hub) closeSession(id Identity, reason string) bool {
	s := h.session(id)
	if s != nil {
		s.Close(reason)
	}
	return s != nil
}

// session returns an identity's session, or nil.
func (h *Hub) session(id Identity) Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.clients[id]; ok {
		return c.session
	}
	return nil
}

// DropConnection closes the session of one identity and says whether there was one.
func (h *Hub) DropConnection(id Identity, reason string) bool { return h.closeSession(id, reason) }

// ResetConnection cuts the transport of one identity without a word, whoever else is on it,
// and says whether there was one.
func (h *Hub) ResetConnection(id Identity) bool {
	s := h.session(id)
	if s != nil {
		s.Reset()
	}
	return s != nil
}

// DropConnections closes every session and returns how many there were.
func (h *Hub) DropConnections(reason string) int {
	h.mu.Lock()
	var sessions []Session
	for _, c := range h.clients {
		if c.session != nil {
			sessions = append(sessions, c.session)
		}
	}
	h.mu.Unlock()
	for _, s := range sessions {
		s.Close(reason)
	}
	return len(sessions)
}

// Departure remembers the sessions of now: of one identity, or, for nil, of all. What it
// returns waits until the hub holds none of them any more, or ctx ends. Who cuts connections
// takes it first and waits after the cut: until then the hub would give to the dead ones.
func (h *Hub) Departure(id *Identity) (wait func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	present := map[*client]Session{}
	for _, c := range h.clients {
		if c.session != nil && (id == nil || c.id == *id) {
			present[c] = c.session
		}
	}
	return func(ctx context.Context) error {
		for c, s := range present {
			if err := h.awaitLeft(ctx, c, s); err != nil {
				return fmt.Errorf("wait until the connection of %s has ended: %w", c.id, err)
			}
		}
		return nil
	}
}

// awaitLeft waits until s is not the client's session.
func (h *Hub) awaitLeft(ctx context.Context, c *client, s Session) error {
	for {
		h.mu.Lock()
		held, changed := c.session == s, c.changed
		h.mu.Unlock()
		if !held {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Presence is what GET /stats tells of a connected identity.
type Presence struct {
	Identity string `json:"identity"`
	Desired  bool   `json:"desired"`
	Methods  bool   `json:"methods"`
	Inputs   bool   `json:"inputs"`
	C2D      bool   `json:"c2d"`
	// Waiting counts messages queued for its inputs, or from the cloud for a device.
	Waiting   int  `json:"waiting"`
	Connected bool `json:"connected"`
}

// Presences lists the clients that are connected or waited for.
func (h *Hub) Presences() []Presence {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Presence, 0, len(h.clients))
	for _, c := range h.clients {
		if c.session == nil && c.inputs.len() == 0 {
			continue
		}
		list = append(list, Presence{
			Identity: c.id.String(), Connected: c.session != nil, Waiting: c.inputs.len(),
			Desired: c.topics[TopicDesired], Methods: c.topics[TopicMethods], Inputs: c.topics[TopicInputs],
			C2D: c.topics[TopicC2D],
		})
	}
	slices.SortFunc(list, func(a, b Presence) int { return strings.Compare(a.Identity, b.Identity) })
	return list
}
