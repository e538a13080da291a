package transform

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// keySetting names a key; the key itself is never part of the configuration, which
// many can read.
type keySetting struct {
	// Env is an environment variable, File a path: exactly one.
	Env  string `json:"env"`
	File string `json:"file"`
	// Encoding is "hex" (the default), "base64" or "raw".
	Encoding string `json:"encoding"`
}

// read returns the key. Errors never show it.
func (k *keySetting) read(with Surroundings) ([]byte, error) {
	var data string
	switch {
	case (k.Env == "") == (k.File == ""):
		return nil, codec.Optionf("/key", `want exactly one of {"env": "NAME"} and {"file": "/path"}`)
	case k.Env != "":
		var ok bool
		if data, ok = with.Environment(k.Env); !ok {
			return nil, codec.Optionf("/key/env", "the environment has no variable %q", k.Env)
		}
	default:
		b, err := with.ReadFile(k.File)
		if err != nil {
			return nil, codec.Optionf("/key/file", "%v", err)
		}
		data = string(b)
	}
	key, err := k.decode(data)
	if err != nil {
		return nil, err
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	default:
		return nil, codec.Optionf("/key", "the key has %d bytes, AES takes 16, 24 or 32", len(key))
	}
}

func (k *keySetting) decode(data string) ([]byte, error) {
	switch k.Encoding {
	case "", "hex":
		key, err := hex.DecodeString(strings.TrimSpace(data))
		if err != nil {
			return nil, codec.Optionf("/key", "the key is not hexadecimal")
		}
		return key, nil
	case "base64":
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(data))
		if err != nil {
			return nil, codec.Optionf("/key", "the key is not base64")
		}
		return key, nil
	case "raw":
		return []byte(data), nil
	default:
		return nil, codec.Optionf("/key/encoding", "got %q, want hex, base64 or raw", k.Encoding)
	}
}
