package identity

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// group makes a device's key from that of an enrollment group of the Device Provisioning
// Service, as the service does: base64(HMAC-SHA256(group's key, registration id)).
type group struct{ key []byte }

type groupSetting struct {
	Kind  string         `json:"kind"`
	Order int            `json:"order"`
	Key   *secretSetting `json:"key"`
}

func (p *keyParser) group(raw json.RawMessage) (Source, error) {
	var set groupSetting
	if err := codec.DecodeOptions(raw, &set); err != nil {
		return nil, err
	}
	text, err := set.Key.read(p.with)
	if err != nil {
		return nil, below("/key", err)
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, below("/key", err)
	}
	return group{key}, nil
}

// Credential implements Source.
func (g group) Credential(_ context.Context, hubDevice string) (Credential, error) {
	id, ok := registrationID(hubDevice)
	if !ok {
		return Credential{}, ErrUnknown
	}
	key, err := decodeKey(digest(g.key, []byte(id)))
	if err != nil {
		return Credential{}, err // of 32 bytes, always
	}
	return symmetric(key), nil
}

// registrationID returns the id that a device has in the provisioning service; false for
// one that it does not take. It knows letters in lower case only: what it derives a key
// from is the lower-case form.
func registrationID(hubDevice string) (string, bool) {
	id := fold(hubDevice)
	last := strings.TrimRight(id, "._:") == id
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:", r)) {
			return "", false
		}
	}
	return id, last
}
