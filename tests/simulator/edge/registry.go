package edge

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The errors of the registry, beside ErrUnknownIdentity and ErrTwinChanged.
var (
	// ErrIdentityExists is a new identity whose name is taken (409).
	ErrIdentityExists = errors.New("identity already exists")
	// ErrInvalidIdentity is an identity that breaks a rule (400).
	ErrInvalidIdentity = errors.New("invalid identity")
	// ErrProtectedIdentity is the removal of the edge device itself, without which there
	// is no hub.
	ErrProtectedIdentity = errors.New("the edge device cannot be removed")
)

// scopePrefix starts the scope of an edge device; its name and generation follow.
const scopePrefix = "ms-azure-iot-edge://"

// Entry is an identity as the cloud's registry shows it.
type Entry struct {
	KnownIdentity
	// ETag changes with every update.
	ETag string
	// Disabled entries cannot connect; Reason says why, for people.
	Disabled bool
	Reason   string
	// StatusChanged is zero while the status is the first one.
	StatusChanged time.Time
	// Edge is an edge device. Its Scope is its own; another device's is that of the edge
	// device whose child it is, or empty.
	Edge  bool
	Scope string
	// ManagedBy is who looks after a module, mostly empty or "IotEdge".
	ManagedBy string
}

// registration is what the registry holds beside the keys.
type registration struct {
	revision      uint64
	disabled      bool
	reason        string
	statusChanged time.Time
	edge          bool
	scope         string
	managedBy     string
}

// keptRegistration is the form on disk. A device without a scope there is a child of the
// edge device: it was made known by a flag.
type keptRegistration struct {
	Revision      uint64    `json:"revision,omitempty"`
	Disabled      bool      `json:"disabled,omitempty"`
	Reason        string    `json:"statusReason,omitempty"`
	StatusChanged time.Time `json:"statusChanged,omitzero"`
	Edge          bool      `json:"iotEdge,omitempty"`
	Scope         *string   `json:"scope,omitempty"`
	ManagedBy     string    `json:"managedBy,omitempty"`
}

func (r *registration) kept() keptRegistration {
	return keptRegistration{
		Revision: r.revision, Disabled: r.disabled, Reason: r.reason, StatusChanged: r.statusChanged,
		Edge: r.edge, Scope: &r.scope, ManagedBy: r.managedBy,
	}
}

// registered completes what is kept. Caller holds mu, or is alone.
func (h *Hub) registered(id Identity, k keptRegistration) registration {
	r := registration{
		revision: max(k.Revision, 1), disabled: k.Disabled, reason: k.Reason, statusChanged: k.StatusChanged,
		edge: k.Edge, managedBy: k.ManagedBy,
	}
	switch {
	case id == Identity{Device: h.opts.Device}:
		r.edge, r.scope = true, h.edgeScope()
	case k.Scope != nil:
		r.scope = *k.Scope
	case id.Module == "":
		r.scope = h.edgeScope()
	}
	return r
}

// edgeScope is the scope of the edge device that this hub runs on.
func (h *Hub) edgeScope() string {
	if c := h.identities[Identity{Device: h.opts.Device}]; c != nil {
		return scopePrefix + h.opts.Device + "-" + c.generation
	}
	return ""
}

// inScope says whether the hub may vouch for the identity: its own modules, its child
// devices, and modules of devices that nobody registered. Caller holds mu.
func (h *Hub) inScope(id Identity) bool {
	device := h.identities[Identity{Device: id.Device}]
	return device == nil || id.Device == h.opts.Device || !device.edge && device.scope == h.edgeScope()
}

// Entry returns one identity of the registry.
func (h *Hub) Entry(id Identity) (Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.identities[id]
	if !ok {
		return Entry{}, fmt.Errorf("%s: %w", id, ErrUnknownIdentity)
	}
	return entry(id, c), nil
}

// Entries lists the registry, ordered by name.
func (h *Hub) Entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Entry, 0, len(h.identities))
	for id, c := range h.identities {
		list = append(list, entry(id, c))
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.String(), b.String()) })
	return list
}

func entry(id Identity, c *credentials) Entry {
	return Entry{
		KnownIdentity: known(id, c), ETag: c.etag(), Disabled: c.disabled, Reason: c.reason,
		StatusChanged: c.statusChanged, Edge: c.edge, Scope: c.scope, ManagedBy: c.managedBy,
	}
}

func (r *registration) etag() string {
	return base64.StdEncoding.EncodeToString([]byte(strconv.FormatUint(r.revision, 10)))
}

// Register adds an identity. Empty keys are made up; generation and etag are the hub's.
// Errors wrap ErrIdentityExists, ErrInvalidIdentity, or ErrUnknownIdentity for a module
// whose device there is not.
func (h *Hub) Register(e Entry) (Entry, error) {
	if err := checkName(e.Identity); err != nil {
		return Entry{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, taken := h.identities[e.Identity]; taken {
		return Entry{}, fmt.Errorf("register %s: %w", e.Identity, ErrIdentityExists)
	}
	if len(h.identities) >= maxIdentities {
		return Entry{}, fmt.Errorf("register %s: %w: %d identities are the most a hub keeps",
			e.Identity, ErrInvalidIdentity, maxIdentities)
	}
	if _, ok := h.identities[Identity{Device: e.Device}]; e.Module != "" && !ok {
		return Entry{}, fmt.Errorf("register %s: %w", e.Identity, ErrUnknownIdentity)
	}
	c := &credentials{primary: randomKey(), secondary: randomKey(), generation: newGeneration()}
	c.revision = 1
	if err := c.take(e, h.opts.Now()); err != nil {
		return Entry{}, fmt.Errorf("register %s: %w", e.Identity, err)
	}
	if !c.disabled {
		c.statusChanged = time.Time{}
	}
	h.identities[e.Identity] = c
	return entry(e.Identity, c), h.saveIdentities()
}

// Update changes an identity; etag, unless empty or "*", must be its present one. Empty
// keys stay as they are. A client that may connect no more is closed. Errors wrap
// ErrUnknownIdentity, ErrTwinChanged or ErrInvalidIdentity.
func (h *Hub) Update(e Entry, etag string) (Entry, error) {
	changed, err := h.update(e, etag)
	if err != nil {
		return Entry{}, err
	}
	h.closeBarred(e.Identity)
	return changed, nil
}

func (h *Hub) update(e Entry, etag string) (Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, err := h.matching(e.Identity, etag)
	if err != nil {
		return Entry{}, fmt.Errorf("update %s: %w", e.Identity, err)
	}
	c := *old
	if err := c.take(e, h.opts.Now()); err != nil {
		return Entry{}, fmt.Errorf("update %s: %w", e.Identity, err)
	}
	if e.Identity == (Identity{Device: h.opts.Device}) {
		c.edge, c.scope = true, old.scope // this hub runs on it
	}
	c.revision++
	h.identities[e.Identity] = &c
	return entry(e.Identity, &c), h.saveIdentities()
}

// matching returns an identity whose etag is the one given. Caller holds mu.
func (h *Hub) matching(id Identity, etag string) (*credentials, error) {
	c, ok := h.identities[id]
	if !ok {
		return nil, ErrUnknownIdentity
	}
	if etag != "" && etag != "*" && etag != c.etag() {
		return nil, fmt.Errorf("the etag is %s: %w", c.etag(), ErrTwinChanged)
	}
	return c, nil
}

// closeBarred ends the sessions of a device, and of its modules, that may not connect.
func (h *Hub) closeBarred(id Identity) {
	h.mu.Lock()
	var barred []Identity
	for other, c := range h.identities {
		present := h.clients[other]
		if other.Device == id.Device && (c.disabled || !h.inScope(other) && (present == nil || !present.direct)) {
			barred = append(barred, other)
		}
	}
	h.mu.Unlock()
	for _, other := range barred {
		h.closeSession(other, "the identity was disabled or left the scope")
	}
}

// SetDisabled bars an identity from connecting, or lets it in again.
func (h *Hub) SetDisabled(id Identity, disabled bool) error {
	e, err := h.Entry(id)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	e.Disabled, e.Key, e.SecondaryKey = disabled, "", ""
	_, err = h.Update(e, "")
	return err
}

// Unregister removes an identity with its twin, and a device with its modules and the
// messages that wait for it.
func (h *Hub) Unregister(id Identity, etag string) error {
	h.mu.Lock()
	_, err := h.matching(id, etag)
	if err == nil && id == (Identity{Device: h.opts.Device}) {
		err = ErrProtectedIdentity
	}
	gone := []Identity{id}
	for other := range h.identities {
		if id.Module == "" && other.Device == id.Device && other != id {
			gone = append(gone, other)
		}
	}
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("unregister %s: %w", id, err)
	}
	for _, other := range gone {
		// One that somebody else has removed meanwhile is as gone as it should be.
		if err := h.RemoveIdentity(other); err != nil && !errors.Is(err, ErrUnknownIdentity) {
			return err
		}
		h.purge(other)
		if err := h.forgetTwin(other); err != nil {
			return err
		}
	}
	return nil
}

// take overwrites what a caller may set.
func (c *credentials) take(e Entry, now time.Time) error {
	for _, k := range []struct {
		name, text string
		into       *[]byte
	}{{"primaryKey", e.Key, &c.primary}, {"secondaryKey", e.SecondaryKey, &c.secondary}} {
		if k.text == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(k.text)
		if err != nil || len(key) < minKey || len(key) > maxKey {
			return fmt.Errorf("%w: %s must be base64 of %d to %d bytes", ErrInvalidIdentity, k.name, minKey, maxKey)
		}
		*k.into = key
	}
	if c.disabled != e.Disabled {
		c.statusChanged = now
	}
	c.disabled, c.reason, c.managedBy = e.Disabled, e.Reason, e.ManagedBy
	if e.Module != "" {
		return nil
	}
	if e.Scope != "" && !strings.HasPrefix(e.Scope, scopePrefix) {
		return fmt.Errorf("%w: deviceScope is %.200q, that of an edge device starts with %s",
			ErrInvalidIdentity, e.Scope, scopePrefix)
	}
	c.edge, c.scope = e.Edge, e.Scope
	if c.edge {
		c.scope = scopePrefix + e.Device + "-" + c.generation
	}
	return nil
}

// minKey and maxKey are the service's bounds for symmetric keys, in bytes.
const (
	minKey = 16
	maxKey = 64
)

// name is what the service allows in device and module ids.
var name = regexp.MustCompile(`^[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}$`)

func checkName(id Identity) error {
	if !name.MatchString(id.Device) || id.Module != "" && !name.MatchString(id.Module) {
		return fmt.Errorf("%w: %q: an id has 1 to 128 letters, digits or - . %% _ * ? ! ( ) , : = @ $ '",
			ErrInvalidIdentity, id.String())
	}
	return nil
}
