package identity

import (
	"context"
	"fmt"
	"time"
)

// derived makes a device's key from the gateway's own, which as a module's never leaves the
// security daemon: the primary key is what the workload API signs the device's id with, the pattern
// that Microsoft published (Azure-Samples/azure-iot-edge-identity-translation-lite). It
// knows every device; the hub says which of them exist.
type derived struct {
	sign func(ctx context.Context, data []byte) (string, error)
}

// derivedLife: the key changes with the gateway's own only, which is a new identity to the
// gateway too, so it is the memory's bound that counts.
const derivedLife = 24 * time.Hour

// Credential implements Source.
func (d derived) Credential(ctx context.Context, hubDevice string) (Credential, error) {
	text, err := d.sign(ctx, []byte(hubDevice))
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	key, err := decodeKey(text)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: no digest: %w", ErrUnavailable, err)
	}
	return symmetric(key), nil
}
