package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// policy signs for every device with the key of a shared access policy of the hub, as
// Microsoft's protocol gateway did. Only IoT Hub itself takes it, no edge hub.
type policy struct {
	name string
	sign func(ctx context.Context, data []byte) (string, error)
}

type policySetting struct {
	Kind             string         `json:"kind"`
	Order            int            `json:"order"`
	ConnectionString *secretSetting `json:"connectionString"`
}

func (p *keyParser) policy(raw json.RawMessage) (Source, error) {
	var set policySetting
	if err := codec.DecodeOptions(raw, &set); err != nil {
		return nil, err
	}
	text, err := set.ConnectionString.read(p.with)
	if err != nil {
		return nil, below("/connectionString", err)
	}
	made, err := parsePolicy(text)
	if err != nil {
		return nil, codec.Optionf("/connectionString", "%v", err)
	}
	return made, nil
}

// Credential implements Source.
func (p policy) Credential(context.Context, string) (Credential, error) {
	return Credential{Sign: p.sign, Policy: p.name}, nil
}

// parsePolicy reads the connection string of a policy as the portal shows it. Errors name
// its parts only, never what they hold.
func parsePolicy(text string) (policy, error) {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok && strings.TrimSpace(part) != "" {
			return policy{}, errors.New("has a part without =, want HostName, SharedAccessKeyName and SharedAccessKey")
		}
		parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	for _, name := range []string{"HostName", "SharedAccessKeyName", "SharedAccessKey"} {
		if parts[strings.ToLower(name)] == "" {
			return policy{}, fmt.Errorf("has no %s, want HostName, SharedAccessKeyName and SharedAccessKey", name)
		}
	}
	key, err := decodeKey(parts["sharedaccesskey"])
	if err != nil {
		return policy{}, fmt.Errorf("SharedAccessKey: %w", err)
	}
	return policy{name: parts["sharedaccesskeyname"], sign: symmetric(key).Sign}, nil
}
