package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// DerivedKey begins a key that is computed: a module's name follows.
const DerivedKey = "derived:"

// DeriveKey returns a device's key as a module computes it that asks the workload API to
// sign the device's id: base64(HMAC-SHA256(the module's key, id)).
func (h *Hub) DeriveKey(module, device string) (string, error) {
	k, err := h.Known(Identity{Device: h.opts.Device, Module: module})
	if err != nil {
		return "", fmt.Errorf("derive the key of %s: %w", device, err)
	}
	key, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil {
		return "", fmt.Errorf("derive the key of %s: %w", device, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(device))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// AddLeaves makes leaf devices known, children of the edge device, and returns their ids.
// pattern is an id, or many: meter-[001-300]. key is base64, or "derived:<module>"; when it
// is empty each keeps its own or gets a random one.
func (h *Hub) AddLeaves(pattern, key string) ([]string, error) {
	ids, err := expand(pattern)
	if err != nil {
		return nil, fmt.Errorf("add leaf devices: %w", err)
	}
	module, derived := strings.CutPrefix(key, DerivedKey)
	keys := make(map[Identity]string, len(ids))
	for _, id := range ids {
		own := key
		if derived {
			if own, err = h.DeriveKey(module, id); err != nil {
				return nil, err
			}
		}
		if err := checkName(Identity{Device: id}); err != nil {
			return nil, fmt.Errorf("add leaf devices: %w", err)
		}
		keys[Identity{Device: id}] = own
	}
	return ids, h.addIdentities(keys)
}

// expand reads the one range that a pattern may have: its numbers are as wide as the first.
func expand(pattern string) ([]string, error) {
	before, rest, found := strings.Cut(pattern, "[")
	if !found {
		return []string{pattern}, nil
	}
	numbers, after, closed := strings.Cut(rest, "]")
	first, last, ranged := strings.Cut(numbers, "-")
	from, err := strconv.ParseUint(first, 10, 32)
	to, toErr := strconv.ParseUint(last, 10, 32)
	if !closed || !ranged || err != nil || toErr != nil || from > to || strings.ContainsAny(after, "[]") {
		return nil, fmt.Errorf("%w: %.200q must be an id, or many as in meter-[001-300]", ErrInvalidIdentity, pattern)
	}
	if to-from >= maxIdentities {
		return nil, fmt.Errorf("%w: %.200q are %d devices, %d are the most a hub keeps",
			ErrInvalidIdentity, pattern, to-from+1, maxIdentities)
	}
	ids := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		ids = append(ids, fmt.Sprintf("%s%0*d%s", before, len(first), n, after))
	}
	return ids, nil
}
