package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// A device with a certificate has a connection for itself, beside those that share one.
func TestADeviceProvesItselfByACertificate(t *testing.T) {
	t.Parallel()
	const certified, other = imei, "356307042441021"
	folder := t.TempDir()
	p := overAMQP()
	sim := p.StartSimulator(t, strings.Replace(identities, `"identity": {`, fmt.Sprintf(
		`"identity": {"keys": {"certificates": {"kind": "file", "path": %q, "order": 1}, "rest": {"kind": "derived", "order": 2}}, `,
		folder), 1))
	writeCertificate(t, sim.CA, folder, certified)
	sim.AddLeaves(certified, "")
	sim.AddLeaves(other, world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	for _, id := range []string{certified, other} {
		d := login(t, g.Addr("trackers"), id)
		d.send(1)
		if n := d.acknowledged(20 * time.Second); n != 1 {
			t.Errorf("%d records acknowledged", n)
		}
		go answering(d)
	}
	sim.WaitLeafMessages([]string{certified, other}, 1, 20*time.Second)
	if status, payload := sim.LeafMethod(certified, "getver", nil); status != 200 {
		t.Errorf("status %d, payload %s", status, payload)
	}
	if got := metric(t, g, "causeway_identity_connections"); got != 2 {
		t.Errorf("%v connections, want 2", got)
	}
}

// writeCertificate has the simulator's root sign a certificate for a device.
func writeCertificate(t *testing.T, root, folder, device string) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(root, filepath.Join(filepath.Dir(root), "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: device},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		device + ".pem": {Type: "CERTIFICATE", Bytes: certificate},
		device + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
