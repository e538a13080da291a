package identity

import (
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// secretSetting names a secret; the secret itself is never part of the configuration,
// which many can read. It is read when the configuration is applied.
type secretSetting struct {
	// Env is an environment variable, File a path: exactly one.
	Env  string `json:"env"`
	File string `json:"file"`
}

// read returns the secret without the spaces around it. Errors never show it.
func (s *secretSetting) read(with Surroundings) (string, error) {
	switch {
	case s == nil || (s.Env == "") == (s.File == ""):
		return "", codec.Optionf("", `want exactly one of {"env": "NAME"} and {"file": "/path"}`)
	case s.Env != "":
		text, ok := with.Environment(s.Env)
		if text = strings.TrimSpace(text); !ok || text == "" {
			return "", codec.Optionf("/env", "the environment has no variable %q, or an empty one", short(s.Env))
		}
		return text, nil
	default:
		data, err := with.ReadFile(s.File)
		if err != nil {
			return "", codec.Optionf("/file", "%v", err)
		}
		text := strings.TrimSpace(string(data))
		if text == "" {
			return "", codec.Optionf("/file", "%s is empty", s.File)
		}
		return text, nil
	}
}
