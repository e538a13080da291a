package exproto

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
)

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTheAdapterVerifiesItsHandler(t *testing.T) {
	cert, key := selfSigned(t)
	a, err := Listen(context.Background(), "secure", Config{
		Handler: "127.0.0.1:1", Listen: "127.0.0.1:0", ListenTLS: &ServerTLS{Certificate: cert, Key: key, ClientCA: cert},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	for what, c := range map[string]struct {
		tls *rpc.TLS
		ok  bool
	}{
		"known":          {&rpc.TLS{CA: cert, Certificate: cert, Key: key}, true},
		"no certificate": {&rpc.TLS{CA: cert}, false},
		"no TLS":         {nil, false},
	} {
		conn, err := rpc.Connect(a.Address().String(), c.tls, maxAnswer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pb.NewConnectionAdapterClient(conn).Send(t.Context(), &pb.SendBytesRequest{})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
		_ = conn.Close()
	}
	if _, err := a.New(nil); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("a handler that is away: %v", err)
	}
}
