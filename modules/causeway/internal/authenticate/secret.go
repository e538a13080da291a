package authenticate

import (
	"context"
	"encoding/json"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxSecrets bounds a table of the configuration: twins hold 32 KiB. More devices
// belong into the database.
const maxSecrets = 1000

// SecretSpec is the settings of the kind secret: a few devices with their secrets, or
// listeners with one that all of their devices share.
type SecretSpec struct {
	// Devices and Listeners are credentials by name. A device's own goes first. Whoever
	// has a listener's can claim any other id on it.
	Devices   map[string]credential `json:"devices"`
	Listeners map[string]credential `json:"listeners"`
}

// secretTable is the authenticator of the kind secret.
type secretTable struct {
	devices, listeners map[string]proof
	passwords          *Passwords
}

func newSecret(settings json.RawMessage, deps Deps) (Authenticator, error) {
	var spec SecretSpec
	if err := codec.DecodeOptions(settings, &spec); err != nil {
		return nil, err
	}
	n := len(spec.Devices) + len(spec.Listeners)
	if n == 0 || n > maxSecrets {
		return nil, codec.Optionf("", "has %d devices and listeners, allowed are 1 to %d", n, maxSecrets)
	}
	t := &secretTable{passwords: deps.Passwords}
	var err error
	if t.devices, err = proofs("/devices", spec.Devices, deps); err != nil {
		return nil, err
	}
	if t.listeners, err = proofs("/listeners", spec.Listeners, deps); err != nil {
		return nil, err
	}
	return t, nil
}

func proofs(at string, list map[string]credential, deps Deps) (map[string]proof, error) {
	compiled := make(map[string]proof, len(list))
	for name, c := range list {
		p, err := c.compile(at+token(name), deps)
		if err != nil {
			return nil, err
		}
		compiled[name] = p
	}
	return compiled, nil
}

// Authenticate implements Authenticator. A device that is not in the table, on a
// listener that is not, is the next one's.
func (t *secretTable) Authenticate(ctx context.Context, r Request) (Verdict, error) {
	p, ok := t.devices[r.Device]
	if !ok {
		if p, ok = t.listeners[r.Listener]; !ok {
			return next()
		}
	}
	if r.Secret == "" {
		return deny("no secret")
	}
	if p.hash == "" {
		ok = len(r.Secret) <= maxSecret && p.equals(r.Secret)
	} else {
		var err error
		if ok, err = t.passwords.Matches(ctx, p.hash, r.Secret); err != nil {
			return Verdict{}, err
		}
	}
	if !ok {
		return deny("wrong secret")
	}
	return allow("by secret", time.Time{})
}
