package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
)

var (
	// ErrUnknown: this source has no key for the device, so the next one is asked; of
	// [Keys], none has.
	ErrUnknown = errors.New("no key is known for the device")
	// ErrUnavailable: whether there is a key cannot be told now, so it is asked again
	// later. No other source is asked instead: its key could be a wrong one.
	ErrUnavailable = errors.New("the device's key cannot be had now")
	// ErrIllegal: the id is none that IoT Hub takes.
	ErrIllegal = errors.New("illegal device id")
	// ErrCollision: another device has the hub's id already.
	ErrCollision = errors.New("the hub's device id is taken")
	// ErrFull: as many devices as the configuration allows have an identity already.
	ErrFull = errors.New("too many devices have an identity")
)

// Credential is how a device proves itself to the hub: exactly one of Sign and
// Certificate is set.
type Credential struct {
	// Sign returns base64(HMAC-SHA256(key, data)). It is safe for concurrent use.
	Sign func(ctx context.Context, data []byte) (string, error)
	// Policy is the name of the shared access policy (skn) that Sign signs for; empty
	// for the device's own key.
	Policy string
	// Certificate is presented on a TLS connection of the device's own.
	Certificate *tls.Certificate
}

// String says what kind of credential it is, never its key.
func (c Credential) String() string {
	switch {
	case c.Certificate != nil:
		return "certificate"
	case c.Policy != "":
		return "key of the policy " + c.Policy
	case c.Sign != nil:
		return "symmetric key"
	default:
		return "no credential"
	}
}

// Format implements fmt.Formatter: every verb prints as String does, because %+v would
// follow Certificate to its private key.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalText implements encoding.TextMarshaler as String does.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Source finds the credential of a device by its id in the hub. It is safe for
// concurrent use. The error wraps ErrUnknown or ErrUnavailable.
type Source interface {
	Credential(ctx context.Context, hubDevice string) (Credential, error)
}

const (
	// maxID is IoT Hub's bound of a device id.
	maxID = 128
	// marks are the characters that IoT Hub takes in a device id besides ASCII letters
	// and digits.
	marks = "-:.+%_#*?!(),=@$'"
)

// CheckID reports why the hub would not take a device id; the error wraps ErrIllegal.
// Beyond the hub's own rule, "." and ".." are refused: they are no names of files and no
// segments of addresses, and both are made of ids.
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrIllegal)
	case len(id) > maxID:
		return fmt.Errorf("%w: %q has %d bytes, at most %d are allowed", ErrIllegal, short(id), len(id), maxID)
	case id == "." || id == "..":
		return fmt.Errorf("%w: %q cannot be part of an address", ErrIllegal, id)
	}
	for _, r := range id {
		if !legal(r) {
			return fmt.Errorf("%w: %q has %q, allowed are ASCII letters, digits and %s", ErrIllegal, short(id), r, marks)
		}
	}
	return nil
}

func legal(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r)
}

// short cuts an id for a message: devices name themselves, and may send kilobytes.
func short(id string) string {
	const most = 64
	if len(id) <= most {
		return id
	}
	return strings.ToValidUTF8(id[:most], "") + "..."
}
