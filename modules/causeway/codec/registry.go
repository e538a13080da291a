package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Factory makes a codec from the listener's options, compiled once when the
// configuration is applied. Empty options mean defaults. Unknown option names
// and values out of range are errors that name the field, the value and what is
// allowed; they refuse the configuration.
type Factory func(options json.RawMessage) (Codec, error)

// ErrUnknownCodec is returned by Registry.New for a name that is not registered.
var ErrUnknownCodec = errors.New("unknown codec")

// Registry is the set of codecs that configurations can name. The zero value is
// empty and ready. It is not safe for concurrent use while Add is called.
type Registry struct{ factories map[string]Factory }

// Add registers a factory. An empty name, a nil factory and a name that is
// already taken are errors.
func (r *Registry) Add(name string, f Factory) error {
	if name == "" || f == nil {
		return fmt.Errorf("codec: register %q: a name and a factory are needed", name)
	}
	if _, taken := r.factories[name]; taken {
		return fmt.Errorf("codec: register %q: the name is taken", name)
	}
	if r.factories == nil {
		r.factories = make(map[string]Factory)
	}
	r.factories[name] = f
	return nil
}

// New makes a codec. The error wraps ErrUnknownCodec, and lists the known names,
// when there is none of that name.
func (r *Registry) New(name string, options json.RawMessage) (Codec, error) {
	f, ok := r.factories[name]
	if !ok {
		return nil, fmt.Errorf("%w %q, known are %v", ErrUnknownCodec, name, r.Names())
	}
	return f(options)
}

// Names returns the registered names in ascending order.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.factories))
	for name := range r.factories {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
