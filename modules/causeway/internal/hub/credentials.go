package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/amenzhinsky/iothub/common"
)

// ErrCredentials is wrapped by errors about an unusable environment. Their texts
// never hold a key or a token.
var ErrCredentials = errors.New("unusable credentials")

// Signer makes the digest of a token: base64 of HMAC-SHA256(key, data).
type Signer interface {
	Sign(ctx context.Context, data []byte) (string, error)
}

// Credential is how an identity proves itself: exactly one of Signer and Certificate
// is set.
type Credential struct {
	Signer Signer
	// Policy is the name of the hub's shared access policy whose key Signer has; empty
	// for the identity's own key.
	Policy string
	// Certificate takes the place of tokens, on a connection of its own.
	Certificate *tls.Certificate
}

// Identity says who this module or device is and where its hub is.
type Identity struct {
	// HubName is the IoT Hub's fully qualified name, used in the token's audience without a
	// port that it may have.
	HubName string
	// Gateway is the host, or host:port, to dial: the edge device, or the IoT Hub
	// itself when there is none.
	Gateway string
	// Device and Module are the ids, not encoded; Module is empty for a device that is no
	// module: a leaf, or a gateway that IoT Hub knows as a device.
	Device, Module string
}

// NewKey returns the Signer of a symmetric key, in base64 as a connection string has it.
// The error wraps ErrCredentials.
func NewKey(text string) (Signer, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("%w: the key must be base64", ErrCredentials)
	}
	return keySigner(key), nil
}

// keySigner signs with a key that lies in the environment.
type keySigner []byte

func (k keySigner) Sign(_ context.Context, data []byte) (string, error) {
	mac := hmac.New(sha256.New, k)
	mac.Write(data) // never fails, see hash.Hash
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// audience is the token's resource: the ids are escaped here and once more with
// the whole, as the hub expects.
func (id Identity) audience() string { return withoutPort(id.HubName) + id.address("") }

// Direct tells whether the hub is IoT Hub itself, without an edge hub before it.
func (id Identity) Direct() bool { return withoutPort(id.Gateway) == withoutPort(id.HubName) }

// withoutPort is the host of host or host:port; a hub's name may have a port in tests.
func withoutPort(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// address is the path of a link of this module, or device.
func (id Identity) address(suffix string) string {
	if id.Module == "" {
		return "/devices/" + escapeID(id.Device) + suffix
	}
	return "/devices/" + escapeID(id.Device) + "/modules/" + escapeID(id.Module) + suffix
}

// escapeID escapes everything that is not unreserved, "+" included, which ids may
// contain: the hub reads a bare one as a space.
func escapeID(id string) string { return strings.ReplaceAll(url.QueryEscape(id), "+", "%20") }

// newToken signs a token that ends at expiry.
func newToken(ctx context.Context, id Identity, by Credential, expiry time.Time) (string, error) {
	sas := common.SharedAccessSignature{Sr: id.audience(), Se: expiry, Skn: by.Policy}
	data := fmt.Sprintf("%s\n%d", url.QueryEscape(sas.Sr), expiry.Unix())
	digest, err := by.Signer.Sign(ctx, []byte(data))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	sas.Sig = digest
	return sas.String(), nil
}
