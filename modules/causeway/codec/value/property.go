package value

import (
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// CheckProperties checks the names of an option that maps property names to where
// their values stand: IoT Hub takes visible ASCII, and names differ in more than
// the case of their letters.
func CheckProperties(option string, properties map[string]string, most int) error {
	if len(properties) > most {
		return codec.Optionf(option, "has %d names, at most %d are allowed", len(properties), most)
	}
	seen := make(map[string]string, len(properties))
	for name := range properties {
		if !token(name) {
			return codec.Optionf(option, "got the name %q, want 1 to 64 letters, digits or any of !#$%%&'*+-.^_`|~", name)
		}
		folded := strings.ToLower(name)
		if other, ok := seen[folded]; ok {
			return codec.Optionf(option, "got %q and %q, which differ in case only", min(name, other), max(name, other))
		}
		seen[folded] = name
	}
	return nil
}

// token reports whether IoT Hub takes the name of a property.
func token(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, b := range []byte(name) {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return true
}
