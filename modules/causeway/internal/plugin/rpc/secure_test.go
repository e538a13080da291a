package rpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string // of its certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{}
	a.cert, a.key, a.path, _ = certificate(t, authority{}, "authority")
	return a
}

// certificate makes a certificate for the name and 127.0.0.1, and its two files.
func certificate(t *testing.T, by authority, name string) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: by.cert == nil, BasicConstraintsValid: true,
	}
	if by.cert == nil {
		by = authority{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, write(t, name+".crt", "CERTIFICATE", der), write(t, name+".key", "PRIVATE KEY", secret)
}

func write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBothSidesAreVerifiedByTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	_, _, cert, key := certificate(t, ca, "plugin")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	address, _ := serve(t, kit.Server{Factory: named("secure")}, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
		MinVersion: tls.VersionTLS12,
	})))
	_, _, clientCert, clientKey := certificate(t, ca, "gateway")
	good := TLS{CA: ca.path, Certificate: clientCert, Key: clientKey}

	named, stranger, anonymous := good, good, good
	named.ServerName = "plugin"
	stranger.ServerName = "another"
	anonymous.Certificate, anonymous.Key = "", ""
	untrusted := good
	untrusted.CA = newAuthority(t).path

	for what, c := range map[string]struct {
		tls *TLS
		ok  bool
	}{
		"by address": {&good, true}, "by name": {&named, true}, "another name": {&stranger, false},
		"no certificate": {&anonymous, false}, "another authority": {&untrusted, false}, "no TLS": {nil, false},
	} {
		client := dial(t, Config{Endpoints: []string{address}, TLS: c.tls, Deadline: impatient})
		if _, err := client.New(nil); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestASocketOfTheSystemIsAnEndpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "codec.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	kit.Server{Factory: named("near")}.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	d := begin(t, dial(t, Config{Endpoints: []string{"unix:" + path}}))
	if out, err := receive(d, nil); err != nil || string(out.Reply) != "near 1 " {
		t.Errorf("got %q, %v", out.Reply, err)
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	_, _, cert, _ := certificate(t, newAuthority(t), "x")
	here := []string{"127.0.0.1:1"}
	for want, c := range map[string]Config{
		"0 endpoints":          {},
		"17 endpoints":         {Endpoints: make([]string, 17)},
		`endpoint "codec"`:     {Endpoints: []string{"codec"}},
		"deadline 2m0s":        {Endpoints: here, Deadline: 2 * time.Minute},
		"a bound is negative":  {Endpoints: here, Window: -1},
		"read ca":              {Endpoints: here, TLS: &TLS{CA: "/nowhere"}},
		"no certificate in it": {Endpoints: here, TLS: &TLS{CA: "main_test.go"}},
		"belong together":      {Endpoints: here, TLS: &TLS{Certificate: cert}},
		"load certificate":     {Endpoints: here, TLS: &TLS{Certificate: cert, Key: cert}},
		"endpoint unix:x":      {Endpoints: []string{"unix:x\x00"}},
	} {
		if client, err := Dial(t.Context(), "acme", c); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "rpc plugin acme") {
			t.Errorf("want %q, got %v", want, err)
			if client != nil {
				_ = client.Close()
			}
		}
	}
}
