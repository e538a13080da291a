package amqphead_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// answer is what a client said to a method call.
type answer struct {
	correlation string
	status      int
	payload     string
}

// hub is a small edge.Head. A token is "token:<identity>[:<remark>]".
type hub struct {
	mu        sync.Mutex
	sessions  map[edge.Identity]edge.Session
	topics    map[edge.Identity]map[edge.Topic]bool
	stored    []edge.Message
	faults    []edge.Fault
	refuse    error // of Publish
	revoked   map[edge.Identity]bool
	patches   []string
	published chan int // sizes of batches
	answers   chan answer
	left      chan edge.Identity
	reauth    time.Duration
	// hold, when set, holds Publish back until it is closed.
	hold chan struct{}
}

func newHub() *hub {
	return &hub{
		sessions: map[edge.Identity]edge.Session{}, topics: map[edge.Identity]map[edge.Topic]bool{},
		revoked: map[edge.Identity]bool{}, published: make(chan int, 100000), answers: make(chan answer, 100),
		left: make(chan edge.Identity, 100), reauth: time.Hour,
	}
}

func (h *hub) CheckToken(token string) (edge.Identity, time.Time, error) {
	parts := strings.Split(token, ":")
	if len(parts) < 2 || parts[0] != "token" {
		return edge.Identity{}, time.Time{}, errors.New("malformed token")
	}
	device, module, _ := strings.Cut(parts[1], "/")
	return edge.Identity{Device: device, Module: module}, time.Now().Add(time.Hour), nil
}

func (h *hub) Authenticate(id edge.Identity, token string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	of, _, err := h.CheckToken(token)
	if err != nil || of != id || h.revoked[id] || strings.HasSuffix(token, ":forged") {
		return fmt.Errorf("token of %s does not hold", id)
	}
	return nil
}

func (h *hub) Connect(id edge.Identity, s edge.Session) func() {
	h.mu.Lock()
	older := h.sessions[id]
	h.sessions[id] = s
	h.topics[id] = map[edge.Topic]bool{}
	h.mu.Unlock()
	if older != nil {
		older.Close("Multiple connections detected")
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sessions[id] == s {
			delete(h.sessions, id)
			delete(h.topics, id)
		}
		h.left <- id
	}
}

func (h *hub) Publish(ctx context.Context, _ edge.Identity, batch []edge.Message) error {
	h.mu.Lock()
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return h.refuse
	}
	h.stored = append(h.stored, batch...)
	h.published <- len(batch)
	return nil
}

func (h *hub) PublishFault(edge.Identity) edge.Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) == 0 {
		return edge.Fault{}
	}
	f := h.faults[0]
	h.faults = h.faults[1:]
	return f
}

func (h *hub) Twin(_ context.Context, id edge.Identity) (json.RawMessage, error) {
	if id.Device == "broken" {
		return nil, errors.New("no twin")
	}
	return json.RawMessage(`{"desired":{"a":1,"$version":3},"reported":{"$version":1}}`), nil
}

func (h *hub) PatchReported(_ context.Context, _ edge.Identity, patch json.RawMessage) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !json.Valid(patch) {
		return errors.New("not json")
	}
	if strings.Contains(string(patch), "bad") {
		return fmt.Errorf("patch: %w", edge.ErrInvalidTwin)
	}
	h.patches = append(h.patches, string(patch))
	return nil
}

func (h *hub) Attach(edge.Identity, bool) (time.Duration, error) { return 0, nil }

func (h *hub) Subscribe(id edge.Identity, t edge.Topic) error {
	h.setTopic(id, t, true)
	return nil
}

func (h *hub) Unsubscribe(id edge.Identity, t edge.Topic) { h.setTopic(id, t, false) }

func (h *hub) setTopic(id edge.Identity, t edge.Topic, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics[id] != nil {
		h.topics[id][t] = on
	}
}

func (h *hub) AnswerMethod(_ edge.Identity, correlation string, status int, payload json.RawMessage) {
	h.answers <- answer{correlation, status, string(payload)}
}

func (h *hub) ReauthInterval() time.Duration { return h.reauth }

// session returns the identity's session, which must be there.
func (h *hub) session(id edge.Identity) edge.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}

func (h *hub) subscribed(id edge.Identity, t edge.Topic) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.topics[id][t]
}

func (h *hub) messages() []edge.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]edge.Message(nil), h.stored...)
}

func (h *hub) inject(faults ...edge.Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, faults...)
}
