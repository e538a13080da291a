package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

// ServiceTwin is a twin as the cloud's service API shows it.
type ServiceTwin struct {
	DeviceID        string `json:"deviceId"`
	ModuleID        string `json:"moduleId,omitempty"`
	ETag            string `json:"etag"`
	Version         int64  `json:"version"`
	DeviceETag      string `json:"deviceEtag,omitempty"`
	Status          string `json:"status"`
	StatusReason    string `json:"statusReason,omitempty"`
	ConnectionState string `json:"connectionState"`
	// Authentication is always "sas"; Scope and Waiting are those of a device.
	Authentication string         `json:"authenticationType"`
	Scope          string         `json:"deviceScope,omitempty"`
	Waiting        int            `json:"cloudToDeviceMessageCount"`
	Tags           map[string]any `json:"tags"`
	Properties     struct {
		Desired  map[string]any `json:"desired"`
		Reported map[string]any `json:"reported"`
	} `json:"properties"`
}

// TwinPatch is what the service API changes of a twin.
type TwinPatch struct {
	Tags    map[string]any
	Desired map[string]any
	// Replace puts Desired and Tags in place of the old ones, where given.
	Replace bool
	// ETag, unless empty or "*", must be the twin's present one.
	ETag string
}

// ServiceTwin returns the cloud's twin.
func (h *Hub) ServiceTwin(_ context.Context, id Identity) (ServiceTwin, error) {
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	r, err := h.twinOf(id)
	if err != nil {
		return ServiceTwin{}, err
	}
	return h.serviceTwin(id, r)
}

func (h *Hub) serviceTwin(id Identity, r *twinRecord) (ServiceTwin, error) {
	t := ServiceTwin{
		DeviceID: id.Device, ModuleID: id.Module, ETag: etag(r), Version: r.Version, Status: "enabled",
		ConnectionState: "Disconnected", Authentication: "sas", Tags: map[string]any{},
	}
	if h.Connected(id) {
		t.ConnectionState = "Connected"
	}
	if e, err := h.Entry(id); err == nil {
		t.DeviceETag, t.StatusReason, t.Scope = e.ETag, e.Reason, e.Scope
		if e.Disabled {
			t.Status = "disabled"
		}
	}
	if id.Module == "" {
		t.Waiting = h.Waiting(id)
	}
	if r.Tags != nil {
		t.Tags, _ = twin.Clone(r.Tags).(map[string]any)
	}
	t.Properties.Desired, t.Properties.Reported = r.Desired.clone().render(), r.Reported.clone().render()
	return t, nil
}

func etag(r *twinRecord) string { return "v" + strconv.FormatInt(r.Version, 10) }

// PatchTwin changes the cloud's twin and, when the link allows, tells the client. Errors
// wrap ErrInvalidTwin, ErrTwinChanged or ErrUnknownIdentity.
func (h *Hub) PatchTwin(_ context.Context, id Identity, p TwinPatch) (ServiceTwin, error) {
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	r, err := h.twinOf(id)
	if err != nil {
		return ServiceTwin{}, err
	}
	if p.ETag != "" && p.ETag != "*" && p.ETag != etag(r) {
		return ServiceTwin{}, fmt.Errorf("twin of %s has etag %s: %w", id, etag(r), ErrTwinChanged)
	}
	patch := p.Desired
	if patch != nil && p.Replace {
		patch = twin.Diff(r.Desired.Properties, p.Desired)
	}
	merged, err := mergeDesired(r, patch)
	if err != nil {
		return ServiceTwin{}, fmt.Errorf("patch desired properties of %s: %w", id, err)
	}
	if p.Tags != nil {
		if p.Replace || r.Tags == nil {
			r.Tags = map[string]any{}
		}
		twin.Merge(r.Tags, p.Tags)
	}
	r.Version++
	if patch != nil {
		r.Desired.Properties = merged
		r.Desired.Version++
		r.Desired.Updated = h.opts.Now()
		if !h.CloudCut() {
			h.relayDesired(id, r, patch)
		}
	}
	if err := h.saveTwin(id, r); err != nil {
		return ServiceTwin{}, err
	}
	return h.serviceTwin(id, r)
}

// mergeDesired validates a patch and returns the merged properties.
func mergeDesired(r *twinRecord, patch map[string]any) (map[string]any, error) {
	text, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	if err := twin.Validate(patch, len(text)); err != nil {
		return nil, err
	}
	merged := r.Desired.clone().Properties
	twin.Merge(merged, patch)
	if text, err = json.Marshal(merged); err != nil {
		return nil, fmt.Errorf("encode merged properties: %w", err)
	}
	return merged, twin.Validate(merged, len(text))
}

// relayDesired hands a patch to a client that listens. The stored copy follows; when it
// had missed versions, the client gets the difference to what the copy held.
func (h *Hub) relayDesired(id Identity, r *twinRecord, patch map[string]any) {
	s, _ := h.subscriber(id, TopicDesired)
	if s == nil {
		return
	}
	switch {
	case r.Stored == nil:
		r.Stored = &storedTwin{r.Desired.clone(), r.Reported.clone()}
	case r.Stored.Desired.Version+1 != r.Desired.Version:
		patch = twin.Diff(r.Stored.Desired.Properties, r.Desired.Properties)
	}
	r.Stored.Desired = r.Desired.clone()
	if doc, err := renderPatch(patch, r.Desired.Version); err == nil {
		s.Desired(doc)
	}
}

func renderPatch(patch map[string]any, version int64) (json.RawMessage, error) {
	doc := make(map[string]any, len(patch)+1)
	for key, value := range patch {
		doc[key] = value
	}
	doc["$version"] = version
	return json.Marshal(doc)
}

// syncTwins runs when the cloud comes back: reported patches that waited are pushed,
// clients that listen get what changed in the meantime.
func (h *Hub) syncTwins() error {
	h.twins.mu.Lock()
	defer h.twins.mu.Unlock()
	for id, r := range h.twins.records {
		h.pushReported(r)
		if r.Stored != nil && r.Stored.Desired.Version != r.Desired.Version {
			if patch := twin.Diff(r.Stored.Desired.Properties, r.Desired.Properties); len(patch) > 0 {
				h.syncDesired(id, r, patch)
			}
		}
		if err := h.saveTwin(id, r); err != nil {
			return err
		}
	}
	return nil
}

// syncDesired sends the difference. A stored copy that never had a version came to be
// without the cloud: its owner has read an empty twin.
func (h *Hub) syncDesired(id Identity, r *twinRecord, patch map[string]any) {
	s, _ := h.subscriber(id, TopicDesired)
	if s == nil {
		return
	}
	r.Stored.Desired = r.Desired.clone()
	if doc, err := renderPatch(patch, r.Desired.Version); err == nil {
		s.Desired(doc)
	}
}

// SetDesired makes the desired properties of an identity those of a deployment: like the
// real thing it replaces them whole. Nothing happens when they are the same already, so
// that a restart does not raise the version.
func (h *Hub) SetDesired(ctx context.Context, id Identity, desired json.RawMessage) error {
	doc, err := twin.Decode(desired)
	if err != nil {
		return fmt.Errorf("set desired properties of %s: %w", id, err)
	}
	h.twins.mu.Lock()
	r, err := h.twinOf(id)
	same := err == nil && len(twin.Diff(r.Desired.Properties, doc)) == 0
	h.twins.mu.Unlock()
	if err != nil || same {
		return err
	}
	_, err = h.PatchTwin(ctx, id, TwinPatch{Desired: doc, Replace: true})
	return err
}

// decodeRecord reads a record as it was kept, with numbers as json.Number.
func decodeRecord(raw json.RawMessage, r *twinRecord) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(r); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	for _, s := range []*side{&r.Desired, &r.Reported} {
		if s.Updated.IsZero() {
			s.Updated = time.Unix(0, 0)
		}
	}
	return nil
}
