package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Named is a source with its name in the configuration.
type Named struct {
	Name   string
	Source Source
}

// Format implements fmt.Formatter: every verb prints the name, because a source may hold
// keys.
func (n Named) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, n.Name) }

// Keys asks key sources in their order; the first that knows the device counts. It is
// safe for concurrent use, and is itself a Source.
type Keys struct{ sources []Named }

// NewKeys returns the keys of sources, which are asked in the order given.
func NewKeys(sources []Named) *Keys { return &Keys{sources: sources} }

// Credential returns what proves the device, by its id in the hub. It may take as long as
// the slowest source's timeouts. The error names the source, and wraps ErrIllegal,
// ErrUnknown (no source has a key) or ErrUnavailable (a source cannot tell now).
func (k *Keys) Credential(ctx context.Context, hubDevice string) (Credential, error) {
	if err := CheckID(hubDevice); err != nil {
		return Credential{}, err
	}
	for _, s := range k.sources {
		c, err := s.Source.Credential(ctx, hubDevice)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, ErrUnknown):
			continue
		case errors.Is(err, ErrUnavailable):
			return Credential{}, fmt.Errorf("key source %s: device %q: %w", s.Name, hubDevice, err)
		default:
			return Credential{}, fmt.Errorf("key source %s: device %q: %w: %w", s.Name, hubDevice, ErrUnavailable, err)
		}
	}
	return Credential{}, fmt.Errorf("device %q: %w by %s", hubDevice, ErrUnknown, k)
}

// Forget lets go of what is cached for a device, so that the next Credential asks its
// source anew. It is called when the hub has refused the credential: the key may have been
// changed.
func (k *Keys) Forget(hubDevice string) {
	for _, s := range k.sources {
		if f, ok := s.Source.(interface{ Forget(hubDevice string) }); ok {
			f.Forget(hubDevice)
		}
	}
}

// String names the sources in their order.
func (k *Keys) String() string {
	if len(k.sources) == 0 {
		return "no key source"
	}
	names := make([]string, len(k.sources))
	for i, s := range k.sources {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

// Format implements fmt.Formatter: every verb prints as String does.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }
