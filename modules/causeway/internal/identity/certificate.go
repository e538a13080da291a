package identity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// certified makes a credential of a PEM chain and its PEM key. The error shows neither:
// those of the standard library name block types and reasons only.
func certified(chain, key []byte) (Credential, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return Credential{}, fmt.Errorf("the certificate: %w", err)
	}
	if pair.Leaf == nil {
		return Credential{}, errors.New("the certificate has no leaf")
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return Credential{}, fmt.Errorf("the certificate ended on %s", end.UTC().Format(time.DateOnly))
	}
	return Credential{Certificate: &pair}, nil
}
