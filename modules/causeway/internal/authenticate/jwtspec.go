package authenticate

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxKeys bounds static keys, and those of a JWKS: a token without a key id is tried
	// with each that its algorithm fits.
	maxKeys = 32
	// leastHMAC is that of RFC 7518 for HS256: tokens can be tried without the gateway.
	leastHMAC = 32
	// RSA keys below the first can be broken, and above the second take long to verify.
	leastRSA, mostRSA = 2048, 8192
)

// algorithms are those that can be allowed; none is not among them.
const algorithms = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"

// JWTSpec is the settings of the kind jwt: the secret is a signed token.
type JWTSpec struct {
	// Keys are static keys by key id. Tokens without a key id are tried with all.
	Keys map[string]keySpec `json:"keys"`
	// JWKS is where keys are fetched.
	JWKS *jwksSpec `json:"jwks"`
	// Algorithms are those allowed; the default is all but HMAC where there is no
	// static secret. A key is used with its own algorithms only.
	Algorithms []string `json:"algorithms"`
	// Claim has to be the device's id, as a text or as one of a list: "sub".
	Claim string `json:"claim"`
	// Match is what the claim is then: a text with {device} in it, by default that alone.
	Match string `json:"match"`
	// Issuer and Audience have to be in the token where they are set; of several
	// audiences one.
	Issuer   string   `json:"issuer"`
	Audience []string `json:"audience"`
	// LeewaySeconds is how far clocks may differ: 60.
	LeewaySeconds int `json:"leewaySeconds"`
	// Endless allows tokens that never expire.
	Endless bool `json:"endless"`
	// Otherwise is for devices with no token, or a secret that is none: "next" (the
	// default) or "deny".
	Otherwise string `json:"otherwise"`
}

// keySpec is a static key: exactly one of a secret for HMAC and a public key or
// certificate in PEM form.
type keySpec struct {
	Secret *source `json:"secret"`
	Public *source `json:"public"`
}

// UnmarshalJSON implements json.Unmarshaler, so that a secret that was written where the
// object belongs is not shown.
func (k *keySpec) UnmarshalJSON(raw []byte) error {
	type plain keySpec
	if raw[0] != '{' {
		return codec.Optionf("", "want an object with exactly one of secret and public")
	}
	return codec.DecodeOptions(raw, (*plain)(k))
}

// jwksSpec says where keys are fetched, and how often.
type jwksSpec struct {
	URL   string  `json:"url"`
	Plain bool    `json:"plain"`
	CA    *source `json:"ca"`
	// TimeoutSeconds bounds one fetch: 5.
	TimeoutSeconds int `json:"timeoutSeconds"`
	// RefreshSeconds is how old keys get before they are fetched again: 3600.
	RefreshSeconds int `json:"refreshSeconds"`
	// UnknownSeconds is the shortest time between fetches, for a key that is not known
	// or after a fetch that failed: 60.
	UnknownSeconds int `json:"unknownSeconds"`
	// KeepSeconds is how old keys get where they cannot be fetched: 86400.
	KeepSeconds int `json:"keepSeconds"`
}

func parseJWT(settings json.RawMessage) (*JWTSpec, error) {
	spec := &JWTSpec{Claim: "sub", Match: deviceHole, LeewaySeconds: 60}
	if err := codec.DecodeOptions(settings, spec); err != nil {
		return nil, err
	}
	if len(spec.Keys) == 0 && spec.JWKS == nil || len(spec.Keys) > maxKeys {
		return nil, codec.Optionf("/keys", "has %d keys, allowed are 1 to %d, or a jwks", len(spec.Keys), maxKeys)
	}
	for i, a := range spec.Algorithms {
		if !slices.Contains(strings.Split(algorithms, ", "), a) {
			return nil, codec.Optionf("/algorithms", "item %d is %q, want some of %s", i, short(a), algorithms)
		}
	}
	if spec.Claim == "" || len(spec.Claim) > maxDevice {
		return nil, codec.Optionf("/claim", "has %d bytes, allowed are 1 to %d", len(spec.Claim), maxDevice)
	}
	if err := within("/audience", len(spec.Audience), 0, maxKeys); err != nil {
		return nil, err
	}
	if err := within("/leewaySeconds", spec.LeewaySeconds, 0, 600); err != nil {
		return nil, err
	}
	return spec, nil
}

// check fills in the defaults and judges the numbers.
func (j *jwksSpec) check() error {
	for _, n := range []struct {
		at             string
		n              *int
		fallback, most int
	}{
		{"/jwks/timeoutSeconds", &j.TimeoutSeconds, 5, 30},
		{"/jwks/refreshSeconds", &j.RefreshSeconds, 3600, 7 * 86400},
		{"/jwks/unknownSeconds", &j.UnknownSeconds, 60, 3600},
		{"/jwks/keepSeconds", &j.KeepSeconds, 86400, 30 * 86400},
	} {
		if *n.n == 0 {
			*n.n = n.fallback
		}
		if err := within(n.at, *n.n, 1, n.most); err != nil {
			return err
		}
	}
	if j.KeepSeconds < j.RefreshSeconds {
		return codec.Optionf("/jwks/keepSeconds", "is %d, less than refreshSeconds, %d", j.KeepSeconds, j.RefreshSeconds)
	}
	return nil
}

// key is a key and the algorithms that it may verify, so that a public key is never
// taken for a secret.
type key struct {
	id         string
	algorithms []string
	value      any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

func (k *keySpec) read(at, id string, deps Deps) (key, error) {
	if count(k.Secret != nil, k.Public != nil) != 1 {
		return key{}, codec.Optionf(at, "want exactly one of secret and public")
	}
	if k.Secret != nil {
		text, err := k.Secret.read(at+"/secret", deps)
		if err != nil {
			return key{}, err
		}
		if len(text) < leastHMAC {
			return key{}, codec.Optionf(at+"/secret", "has %d bytes, at least %d are needed", len(text), leastHMAC)
		}
		return key{id, []string{"HS256", "HS384", "HS512"}, []byte(text)}, nil
	}
	at += "/public"
	text, err := k.Public.read(at, deps)
	if err != nil {
		return key{}, err
	}
	public := publicPEM([]byte(text))
	usable := verifies(public)
	if usable == nil {
		return key{}, codec.Optionf(at, "is not the PEM of a public key or certificate with RSA of %d to %d bits, "+
			"a curve P-256, P-384 or P-521, or Ed25519", leastRSA, mostRSA)
	}
	return key{id, usable, public}, nil
}

// publicPEM returns a public key, nil for none. Private ones are not taken: they have no
// business here.
func publicPEM(text []byte) any {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err == nil {
			return public
		}
	case "RSA PUBLIC KEY":
		public, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err == nil {
			return public
		}
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			return c.PublicKey
		}
	}
	return nil
}

// verifies returns the algorithms of a public key, nil for one that is not used.
func verifies(public any) []string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= leastRSA && bits <= mostRSA {
			return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		}
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
