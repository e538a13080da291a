package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
)

// raw are the settings of one source.
func raw(name, setting string) map[string]json.RawMessage {
	return map[string]json.RawMessage{name: json.RawMessage(setting)}
}

// fake is a source that says what it is told, and counts.
type fake struct {
	credential Credential
	err        error
	asked      int
	forgotten  []string
}

func (f *fake) Credential(context.Context, string) (Credential, error) {
	f.asked++
	return f.credential, f.err
}

func (f *fake) Forget(hubDevice string) { f.forgotten = append(f.forgotten, hubDevice) }

// surroundings have a module's key, and the variables and files that are given.
func surroundings(env, files map[string]string) Surroundings {
	return Surroundings{
		Sign:        moduleKey(other),
		Environment: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Rule: func(text string) (Rule, error) { return route.CompileName(text) },
	}
}

// certificate makes a self-signed pair that ends at a time.
func certificate(tb testing.TB, name string, end time.Time) (chain, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: end.Add(-time.Hour), NotAfter: end,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// wraps fails unless the error wraps the sentinel, and only that of the two.
func wraps(tb testing.TB, err, sentinel error, parts ...string) {
	tb.Helper()
	for _, e := range []error{ErrUnknown, ErrUnavailable} {
		if errors.Is(err, e) != errors.Is(sentinel, e) {
			tb.Errorf("error is %v, want %v", err, sentinel)
		}
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			tb.Errorf("error is %v, want it to say %q", err, part)
		}
	}
}
