package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/pki"
	"github.com/causeway-iot/causeway/tests/simulator/state"
)

func TestIssuedCertificatesAreTrustedAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	folder, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, err := pki.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := again.Issue(pki.Request{CommonName: "edge", Names: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: first.Pool(), DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: first.Pool(), DNSName: "elsewhere"}); err == nil {
		t.Error("the certificate is good for another name")
	}
}

func TestClientCertificatesCarryTheirURI(t *testing.T) {
	t.Parallel()
	folder, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(pki.Request{CommonName: "m", URIs: []string{"azureiot://h/devices/d/modules/m"}, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Leaf.URIs) != 1 || pair.Leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Fatalf("uris %v, usage %v", pair.Leaf.URIs, pair.Leaf.ExtKeyUsage)
	}
}
