package authenticate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrBusy says that there was no room among the workers within the time allowed. It says
// nothing about the device, which may try again.
var ErrBusy = errors.New("busy")

// Request is a device's claim: who it says it is, and what it has to show for it.
// Printing one in any usual way leaves the secret out.
type Request struct {
	// Listener is the name of the listener that the device came in by, Device the id
	// that it claims.
	Listener, Device string
	// Secret is the token or password of the codec's login frame, "" for none.
	Secret string `json:"-"`
	// Remote is the address of the device: behind a PROXY, the device's own.
	Remote netip.Addr
	// Certificate is the verified TLS client certificate, nil for none.
	Certificate *x509.Certificate `json:"-"`
}

// String implements fmt.Stringer, without the secret.
func (r Request) String() string {
	return fmt.Sprintf("device %q on %q from %s", r.Device, r.Listener, r.Remote)
}

// GoString implements fmt.GoStringer, for %#v.
func (r Request) GoString() string { return r.String() }

// Decision is what an authenticator says about a claim.
type Decision int

const (
	// Next is no opinion: the next one is asked.
	Next Decision = iota
	// Allow lets the device in.
	Allow
	// Deny refuses it.
	Deny
)

// String is the decision's name in configuration, answers and logs.
func (d Decision) String() string {
	switch d {
	case Next:
		return "next"
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	default:
		return fmt.Sprintf("decision %d", int(d))
	}
}

// MarshalText implements encoding.TextMarshaler.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Verdict is a decision and what belongs to it.
type Verdict struct {
	Decision Decision
	// By is the name of the authenticator that decided; the chain sets it.
	By string
	// Reason is one short line for operators, never with a secret.
	Reason string
	// Expires is when an admission ends: the session is to be closed then. Zero is never.
	Expires time.Time
	// Proven says of an admission that the device has shown what only it should have. An
	// id or an address is nothing of the kind.
	Proven bool
	// Unavailable says of a refusal that it is not about the device: an authenticator
	// could not answer, or was busy. It must not be counted as a failure of the device.
	Unavailable bool
}

// Authenticator is one link of the chain. It is called concurrently.
type Authenticator interface {
	// Authenticate judges a claim. It may wait (HTTP, hashing), until ctx ends. An
	// error means that it could not tell, and has no secret in its text.
	Authenticate(ctx context.Context, r Request) (Verdict, error)
}
