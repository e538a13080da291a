package edge

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sort"
	"strconv"
)

// credentials are one identity's symmetric keys.
type credentials struct {
	primary, secondary []byte
	generation         string
	registration
}

// KnownIdentity is an identity with its secrets, as environments and the workload API
// need them.
type KnownIdentity struct {
	Identity
	// Key and SecondaryKey are base64.
	Key, SecondaryKey string
	// Generation is the module generation id.
	Generation string
}

// keptIdentity is the form on disk.
type keptIdentity struct {
	Device     string `json:"device"`
	Module     string `json:"module,omitempty"`
	Primary    []byte `json:"primaryKey"`
	Secondary  []byte `json:"secondaryKey"`
	Generation string `json:"generation"`
	keptRegistration
}

const keptIdentities = "identities"

func (h *Hub) loadIdentities() error {
	if h.opts.Keep == nil {
		return nil
	}
	var list []keptIdentity
	if _, err := h.opts.Keep.Load(keptIdentities, &list); err != nil {
		return fmt.Errorf("load identities: %w", err)
	}
	for _, k := range list {
		h.identities[Identity{Device: k.Device, Module: k.Module}] = &credentials{
			primary: k.Primary, secondary: k.Secondary, generation: k.Generation,
		}
	}
	// The edge device's scope, which the others may have, is made of its generation.
	for _, k := range list {
		id := Identity{Device: k.Device, Module: k.Module}
		h.identities[id].registration = h.registered(id, k.keptRegistration)
	}
	return nil
}

// AddIdentity makes an identity known. key is base64; empty keeps the present key, or
// makes a random one for a new identity.
func (h *Hub) AddIdentity(id Identity, key string) error {
	return h.addIdentities(map[Identity]string{id: key})
}

// addIdentities adds them all and saves once, or leaves all as they are.
func (h *Hub) addIdentities(keys map[Identity]string) error {
	decoded := make(map[Identity][]byte, len(keys))
	for id, key := range keys {
		primary, err := base64.StdEncoding.DecodeString(key)
		if err != nil || key != "" && len(primary) == 0 {
			return fmt.Errorf("add identity %s: key must be base64 of at least one byte", id)
		}
		decoded[id] = primary
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := len(h.identities)
	for id := range decoded {
		if _, known := h.identities[id]; !known {
			fresh++
		}
	}
	if fresh > maxIdentities {
		return fmt.Errorf("add identities: %d are the most a hub keeps, these would be %d", maxIdentities, fresh)
	}
	changed := false
	for id, primary := range decoded {
		changed = h.addLocked(id, primary) || changed
	}
	if !changed {
		return nil
	}
	return h.saveIdentities()
}

// addLocked says whether there was anything to change. Caller holds mu.
func (h *Hub) addLocked(id Identity, primary []byte) bool {
	old, known := h.identities[id]
	if known && (len(primary) == 0 || string(old.primary) == string(primary)) {
		return false
	}
	fresh := &credentials{primary: primary, secondary: randomKey(), generation: newGeneration()}
	if known {
		fresh.secondary, fresh.generation, fresh.registration = old.secondary, old.generation, old.registration
		fresh.revision++
	}
	if len(primary) == 0 {
		fresh.primary = randomKey()
	}
	h.identities[id] = fresh
	if !known {
		fresh.registration = h.registered(id, keptRegistration{})
	}
	return true
}

// RemoveIdentity forgets an identity and closes its session.
func (h *Hub) RemoveIdentity(id Identity) error {
	h.mu.Lock()
	if _, ok := h.identities[id]; !ok {
		h.mu.Unlock()
		return fmt.Errorf("remove %s: %w", id, ErrUnknownIdentity)
	}
	delete(h.identities, id)
	delete(h.bound, id)
	err := h.saveIdentities()
	h.mu.Unlock()
	h.closeSession(id, "the identity was removed")
	h.seen.forget(id)
	return err
}

func (h *Hub) saveIdentities() error {
	if h.opts.Keep == nil {
		return nil
	}
	list := make([]keptIdentity, 0, len(h.identities))
	for id, c := range h.identities {
		list = append(list, keptIdentity{id.Device, id.Module, c.primary, c.secondary, c.generation, c.kept()})
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].Device+"/"+list[i].Module < list[j].Device+"/"+list[j].Module
	})
	if err := h.opts.Keep.Save(keptIdentities, list); err != nil {
		return fmt.Errorf("save identities: %w", err)
	}
	return nil
}

// Known returns an identity's secrets.
func (h *Hub) Known(id Identity) (KnownIdentity, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.identities[id]
	if !ok {
		return KnownIdentity{}, fmt.Errorf("%s: %w", id, ErrUnknownIdentity)
	}
	return known(id, c), nil
}

// Identities lists what the hub knows, ordered by name.
func (h *Hub) Identities() []KnownIdentity {
	h.mu.Lock()
	list := make([]KnownIdentity, 0, len(h.identities))
	for id, c := range h.identities {
		list = append(list, known(id, c))
	}
	h.mu.Unlock() // ordering 20,000 of them takes long
	sort.Slice(list, func(i, j int) bool { return list[i].String() < list[j].String() })
	return list
}

func known(id Identity, c *credentials) KnownIdentity {
	return KnownIdentity{
		Identity:     id,
		Key:          base64.StdEncoding.EncodeToString(c.primary),
		SecondaryKey: base64.StdEncoding.EncodeToString(c.secondary),
		Generation:   c.generation,
	}
}

// knows reports an error that wraps ErrUnknownIdentity for a stranger.
func (h *Hub) knows(id Identity) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.identities[id]; !ok {
		return fmt.Errorf("%s: %w", id, ErrUnknownIdentity)
	}
	return nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
}

// newGeneration resembles IoT Hub's generation ids: a decimal number as text.
func newGeneration() string {
	var n uint64
	for _, b := range randomKey()[:7] {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n, 10)
}

// ErrUnauthorized is what every refused token wraps.
var ErrUnauthorized = errors.New("unauthorized")
