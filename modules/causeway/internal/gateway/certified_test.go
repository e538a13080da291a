package gateway

import (
	"bufio"
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
	"testing"
	"time"
)

// authority issues certificates into a folder.
type authority struct {
	t    *testing.T
	dir  string
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue writes name.pem and name.key; the first certificate signs itself and the others.
func (a *authority) issue(name string, template *x509.Certificate) (tls.Certificate, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.Subject, template.SerialNumber = pkix.Name{CommonName: name}, big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.leaf, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	paths := [2]string{filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")}
	for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(paths[i], pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.leaf == nil {
		a.leaf, a.key = leaf, key
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, paths[0], paths[1]
}

func TestADeviceIsKnownByItsCertificate(t *testing.T) {
	a := &authority{t: t, dir: t.TempDir()}
	_, root, _ := a.issue("root", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	_, cert, key := a.issue("gateway", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	device, _, _ := a.issue("d-1", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pool := x509.NewCertPool()
	pool.AddCert(a.leaf)

	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, "")
	x.desireOne("secure", `{"bind":"tls://127.0.0.1:0","codec":"password","ack":"decoded","frame":{"type":"line"},
		"tls":{"certificate":"`+cert+`","key":"`+key+`","clientCA":"`+root+`","clientAuth":"optional"}}`,
		`,"authentication":{"by":{"kind":"certificate"}}`)
	for _, c := range []struct {
		name, login, want string
		certificates      []tls.Certificate
	}{
		{"its own", "login d-1", "welcome", []tls.Certificate{device}},
		{"another's", "login d-2", "no", []tls.Certificate{device}},
		{"none", "login d-1", "no", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := tls.Client(dialTLS(t, g, "secure"), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: c.certificates})
			(&client{t: t, conn: conn, in: bufio.NewReader(conn)}).say(c.login, c.want)
		})
	}
}

// dialTLS connects to a tls:// listener, without the handshake.
func dialTLS(t *testing.T, g *Gateway, name string) (conn net.Conn) {
	t.Helper()
	eventually(t, "listener "+name+" is open", func() bool {
		l := g.running()[name]
		if l == nil {
			return false
		}
		var err error
		conn, err = net.Dial("tcp", l.state().Bind[len("tls://"):])
		return err == nil
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
