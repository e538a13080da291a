package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/route"
	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

// ErrInvalidTwin is what PatchReported and PatchDesired wrap for a patch that breaks the
// twin rules (400).
var ErrInvalidTwin = twin.ErrInvalid

// ErrTwinChanged is a patch whose etag is no longer the twin's (412).
var ErrTwinChanged = errors.New("the twin has changed")

// side is one half of a twin with its version.
type side struct {
	Properties map[string]any `json:"properties"`
	Version    int64          `json:"version"`
	Updated    time.Time      `json:"updated"`
}

func (s side) clone() side {
	s.Properties, _ = twin.Clone(s.Properties).(map[string]any)
	return s
}

// twinRecord is the twin in the cloud, and the hub's stored copy once it has one.
type twinRecord struct {
	Desired  side           `json:"desired"`
	Reported side           `json:"reported"`
	Tags     map[string]any `json:"tags,omitempty"`
	Version  int64          `json:"version"`
	// Stored is what the edge hub remembers for times without the cloud.
	Stored *storedTwin `json:"stored,omitempty"`
	// Pending is the reported patch that the cloud has not got yet.
	Pending map[string]any `json:"pending,omitempty"`
}

type storedTwin struct {
	Desired  side `json:"desired"`
	Reported side `json:"reported"`
}

// twins holds every twin. mu is held while a desired patch is handed to a session, so
// that patches arrive in the order of their versions.
type twins struct {
	mu      sync.Mutex
	records map[Identity]*twinRecord
}

func keptTwin(id Identity) string {
	return "twin-" + url.PathEscape(id.Device) + "+" + url.PathEscape(id.Module)
}

// twinOf returns an identity's record, from memory, from disk, or new. Caller holds
// twins.mu.
func (h *Hub) twinOf(id Identity) (*twinRecord, error) {
	if r, ok := h.twins.records[id]; ok {
		return r, nil
	}
	if err := h.knows(id); err != nil {
		return nil, err
	}
	r := &twinRecord{}
	if h.opts.Keep != nil {
		var raw json.RawMessage
		found, err := h.opts.Keep.Load(keptTwin(id), &raw)
		if err == nil && found {
			err = decodeRecord(raw, r)
		}
		if err != nil {
			return nil, fmt.Errorf("load the twin of %s: %w", id, err)
		}
	}
	if r.Version == 0 {
		now := h.opts.Now()
		r.Desired, r.Reported, r.Version = side{nil, 1, now}, side{nil, 1, now}, 1
	}
	for _, s := range []*side{&r.Desired, &r.Reported} {
		if s.Properties == nil {
			s.Properties = map[string]any{}
		}
	}
	h.twins.records[id] = r
	return r, nil
}

func (h *Hub) saveTwin(id Identity, r *twinRecord) error {
	if h.opts.Keep == nil {
		return nil
	}
	if err := h.opts.Keep.Save(keptTwin(id), r); err != nil {
		return fmt.Errorf("save the twin of %s: %w", id, err)
	}
	return nil
}

// forgetTwin makes the identity's next twin a new one.
func (h *Hub) forgetTwin(id Identity) error {
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	delete(h.twins.records, id)
	return h.saveTwin(id, &twinRecord{})
}

// Twin implements Head. With the cloud cut off it is the stored copy, or an empty twin
// without versions.
func (h *Hub) Twin(ctx context.Context, id Identity) (json.RawMessage, error) {
	if err := h.twinTurn(ctx); err != nil {
		return nil, err
	}
	h.counters.twinGets.Add(1)
	h.seen.of(id).twinGets.Add(1)
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	r, err := h.twinOf(id)
	if err != nil {
		return nil, err
	}
	if h.CloudCut() {
		if r.Stored == nil {
			return json.RawMessage(`{"desired":{},"reported":{}}`), nil
		}
		return renderTwin(r.Stored.Desired, r.Stored.Reported)
	}
	if !r.storedIsCurrent() {
		r.Stored = &storedTwin{r.Desired.clone(), r.Reported.clone()}
		if err := h.saveTwin(id, r); err != nil {
			return nil, err
		}
	}
	return renderTwin(r.Desired, r.Reported)
}

func (r *twinRecord) storedIsCurrent() bool {
	return r.Stored != nil && r.Stored.Desired.Version == r.Desired.Version &&
		r.Stored.Reported.Version == r.Reported.Version
}

// PatchReported implements Head. The patch is merged into the stored copy at once and
// reaches the cloud when the link allows. It is also a message of the source
// /twinChangeNotifications.
func (h *Hub) PatchReported(ctx context.Context, id Identity, patch json.RawMessage) error {
	if err := h.twinTurn(ctx); err != nil {
		return err
	}
	doc, err := twin.Decode(patch)
	if err != nil {
		return fmt.Errorf("patch reported properties of %s: %w", id, err)
	}
	if err := twin.Validate(doc, len(patch)); err != nil {
		return fmt.Errorf("patch reported properties of %s: %w", id, err)
	}
	if err := h.mergeReported(id, doc); err != nil {
		return err
	}
	h.seen.of(id).twinPatches.Add(1)
	return h.notifyTwinChange(id, patch)
}

func (h *Hub) mergeReported(id Identity, doc map[string]any) error {
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	r, err := h.twinOf(id)
	if err != nil {
		return err
	}
	if r.Stored == nil {
		r.Stored = &storedTwin{side{Properties: map[string]any{}}, side{Properties: map[string]any{}}}
		if !h.CloudCut() {
			r.Stored.Desired, r.Stored.Reported = r.Desired.clone(), r.Reported.clone()
		}
	}
	twin.Merge(r.Stored.Reported.Properties, doc)
	if r.Pending == nil {
		r.Pending = map[string]any{}
	}
	twin.Accumulate(r.Pending, doc)
	if !h.CloudCut() {
		h.pushReported(r)
	}
	return h.saveTwin(id, r)
}

// pushReported brings the pending patch to the cloud. A merged document over the cloud's
// limit is not taken, as in the real hub, where the client has long been told 204.
func (h *Hub) pushReported(r *twinRecord) {
	if r.Pending == nil {
		return
	}
	merged := r.Reported.clone()
	twin.Merge(merged.Properties, r.Pending)
	text, err := json.Marshal(merged.Properties)
	if err != nil || len(text) > twin.MaxPatchBytes {
		return
	}
	merged.Version, merged.Updated = merged.Version+1, h.opts.Now()
	r.Reported, r.Pending = merged, nil
	r.Version++
	if r.Stored != nil {
		r.Stored.Reported = merged.clone()
	}
}

func (h *Hub) notifyTwinChange(id Identity, patch json.RawMessage) error {
	now := h.opts.Now()
	body := append(append([]byte(`{"properties":{"reported":`), patch...), "}}"...)
	return h.accept(h.routing.Load(), []Message{{
		From: id, Body: body, Enqueued: now,
		System: map[string]string{
			"contentType": "application/json", "contentEncoding": "utf-8",
			"messageSchema": "twinChangeNotification", "operation": "updateTwin",
		},
	}}, route.TwinChangeSource, now)
}

// renderTwin is the twin as clients get it. A side without a version has none to show.
func renderTwin(desired, reported side) (json.RawMessage, error) {
	return json.Marshal(map[string]any{"desired": desired.render(), "reported": reported.render()})
}

func (s side) render() map[string]any {
	doc := make(map[string]any, len(s.Properties)+2)
	for key, value := range s.Properties {
		doc[key] = value
	}
	if s.Version > 0 {
		doc["$version"] = s.Version
		doc["$metadata"] = map[string]any{"$lastUpdated": s.Updated.UTC().Format(time.RFC3339Nano)}
	}
	return doc
}
