package authenticate

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one key of a set (RFC 7517, RFC 8037).
type jwk struct {
	Type      string   `json:"kty"`
	Use       string   `json:"use"`
	Usages    []string `json:"key_ops"`
	ID        string   `json:"kid"`
	Algorithm string   `json:"alg"`
	Curve     string   `json:"crv"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	X         string   `json:"x"`
	Y         string   `json:"y"`
}

// parseKeySet reads a JWKS. Keys that are not for signatures, or of a kind that is not
// used here, are passed over, and symmetric ones too: what can be fetched is no secret.
// A set with none that is left is an error, so that those known are kept.
func parseKeySet(body []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil, errors.New("not a JSON object with keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are allowed", len(set.Keys), maxKeys)
	}
	var keys []key
	for _, raw := range set.Keys {
		var j jwk
		if json.Unmarshal(raw, &j) != nil {
			continue
		}
		if k, ok := j.key(); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key that can be used")
	}
	return keys, nil
}

func (j *jwk) key() (key, bool) {
	if j.Use != "" && j.Use != "sig" || j.Usages != nil && !slices.Contains(j.Usages, "verify") || len(j.ID) > maxDevice {
		return key{}, false
	}
	var public any
	switch j.Type {
	case "RSA":
		public = j.rsa()
	case "EC":
		public = j.ecdsa()
	case "OKP":
		public = j.ed25519()
	}
	usable := verifies(public)
	if j.Algorithm != "" {
		usable = slices.DeleteFunc(usable, func(a string) bool { return a != j.Algorithm })
	}
	return key{j.ID, usable, public}, len(usable) > 0
}

// number decodes a base64url number of bounded size, nil for none.
func number(text string, most int) []byte {
	if len(text) > base64.RawURLEncoding.EncodedLen(most) {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

func (j *jwk) rsa() any {
	n, e := number(j.N, mostRSA/8+1), number(j.E, 4)
	if n == nil || e == nil {
		return nil
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent < 3 || exponent > 1<<31-1 || exponent%2 == 0 { // what crypto/rsa takes
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
}

func (j *jwk) ecdsa() any {
	curve := map[string]elliptic.Curve{
		"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
	}[j.Curve]
	if curve == nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := number(j.X, size), number(j.Y, size)
	if len(x) != size || len(y) != size {
		return nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil { // a point that is not on the curve, too
		return nil
	}
	return public
}

func (j *jwk) ed25519() any {
	x := number(j.X, ed25519.PublicKeySize)
	if j.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return nil
	}
	return ed25519.PublicKey(x)
}
