package authenticate

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxDevice bounds the ids that are looked at: an IoT Hub id has 128 bytes at most,
	// and a device's own id may be longer before it is mapped to one.
	maxDevice = 256
	// maxSecret bounds the secrets that are looked at: a token with many claims.
	maxSecret = 8 << 10
)

// Deps are what authenticators take from outside.
type Deps struct {
	// Environment looks an environment variable up, ReadFile reads a file whole: keys
	// and passwords are best kept out of the configuration, which many can read.
	Environment func(name string) (string, bool)
	ReadFile    func(path string) ([]byte, error)
	// Passwords compares passwords with hashes.
	Passwords *Passwords
	// Database is what the kind database asks; without it that kind is a fault.
	Database *Database
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// kinds are the names for New.
const kinds = "addresses, certificate, database, http, jwt, pattern, secret"

// New makes an authenticator of a kind from its settings, a JSON object or nothing.
// Faults are of type [*codec.OptionError] with a pointer into the settings, and show no
// secret. One that has connections or a cache to give up is an [io.Closer] as well:
// whoever made it closes it once no chain asks it any longer.
func New(kind string, settings json.RawMessage, deps Deps) (Authenticator, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Passwords == nil {
		deps.Passwords = NewPasswords(nil, deps.Now)
	}
	switch kind {
	case "addresses":
		return newAddresses(settings)
	case "certificate":
		return newCertificate(settings, deps)
	case "database":
		return newDatabase(settings, deps)
	case "http":
		return newHTTP(settings, deps)
	case "jwt":
		return newJWT(settings, deps)
	case "pattern":
		return newPattern(settings)
	case "secret":
		return newSecret(settings, deps)
	default:
		return nil, codec.Optionf("", "got kind %q, want one of %s", kind, kinds)
	}
}

// AsksForProof tells whether authenticators of a kind look at what a device shows. The
// others go by ids and addresses, which anybody can have.
func AsksForProof(kind string) bool { return kind != "addresses" && kind != "pattern" }

// allow and deny are verdicts as authenticators give them; allow is for what was shown.
func allow(reason string, expires time.Time) (Verdict, error) {
	return Verdict{Decision: Allow, Reason: reason, Expires: expires, Proven: true}, nil
}

func deny(reason string) (Verdict, error) { return Verdict{Decision: Deny, Reason: reason}, nil }

func next() (Verdict, error) { return Verdict{}, nil }

// decision reads a decision of the settings; "" is the fallback.
func decision(at, text string, fallback Decision, allowed ...Decision) (Decision, error) {
	if text == "" {
		return fallback, nil
	}
	names := make([]string, len(allowed))
	for i, d := range allowed {
		if names[i] = d.String(); names[i] == text {
			return d, nil
		}
	}
	return 0, codec.Optionf(at, "got %q, want one of %s", short(text), strings.Join(names, ", "))
}

// within judges a number of the settings.
func within(at string, n, least, most int) error {
	if n < least || n > most {
		return codec.Optionf(at, "got %d, want %d to %d", n, least, most)
	}
	return nil
}

// below puts the place of settings before that of their fault.
func below(at string, err error) error {
	if fault, ok := errors.AsType[*codec.OptionError](err); ok {
		return codec.Optionf(at+fault.Pointer, "%s", fault.Reason)
	}
	return codec.Optionf(at, "%v", err)
}

// token writes a key as a reference token of a JSON pointer.
func token(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// short cuts text for a fault; settings may be long, faults must not.
func short(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
