// Package pki is the simulator's certificate authority: one root, kept in a folder, that
// signs the hub's server certificate and what the workload API hands out.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"
)

// The files of an authority in its folder.
const (
	CertificateFile = "ca.pem"
	keyFile         = "ca.key"
)

// caLife is the root's life; a developer's state folder is rarely older.
const caLife = 10 * 365 * 24 * time.Hour

// Folder is where an authority lives.
type Folder interface {
	Path(file string) string
	WriteFile(file string, data []byte) error
}

// Authority is a root certificate with its key. It is safe for concurrent use.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// Open reads the authority from the folder, or makes one there.
func Open(folder Folder) (*Authority, error) {
	certificate, err := os.ReadFile(folder.Path(CertificateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return create(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	key, err := os.ReadFile(folder.Path(keyFile))
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("open authority: the key cannot sign")
	}
	return &Authority{certificate: pair.Leaf, key: signer, pem: certificate}, nil
}

func create(folder Folder) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Causeway simulator edge CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	a := &Authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}
	private, err := encodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	// The key goes first: a certificate without its key would not open again.
	if err := folder.WriteFile(keyFile, private); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	if err := folder.WriteFile(CertificateFile, a.pem); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	return a, nil
}

// PEM returns the root certificate.
func (a *Authority) PEM() []byte { return bytes.Clone(a.pem) }

// Pool returns a pool that holds the root only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Request is what Issue certifies.
type Request struct {
	CommonName string
	// Names are DNS names or IP addresses; URIs are URIs.
	Names []string
	URIs  []string
	// Client asks for client authentication in place of server authentication.
	Client bool
	// RSA asks for an RSA-2048 key, as the real daemon makes; ECDSA P-256 is the default.
	RSA bool
	// NotAfter is bounded by the root's own end.
	NotAfter time.Time
}

// Issued is a certificate chain with its PKCS #8 key, both PEM.
type Issued struct {
	Chain, Key []byte
	NotAfter   time.Time
}

// Issue signs a new certificate.
func (a *Authority) Issue(r Request) (Issued, error) {
	key, err := newKey(r.RSA)
	if err != nil {
		return Issued{}, fmt.Errorf("issue %s: %w", r.CommonName, err)
	}
	template, err := a.template(r)
	if err != nil {
		return Issued{}, fmt.Errorf("issue %s: %w", r.CommonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Issued{}, fmt.Errorf("issue %s: %w", r.CommonName, err)
	}
	private, err := encodeKey(key)
	if err != nil {
		return Issued{}, fmt.Errorf("issue %s: %w", r.CommonName, err)
	}
	chain := append(encode("CERTIFICATE", der), a.pem...)
	return Issued{Chain: chain, Key: private, NotAfter: template.NotAfter}, nil
}

func (a *Authority) template(r Request) (*x509.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: r.CommonName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     r.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if r.Client {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if t.NotAfter.IsZero() || t.NotAfter.After(a.certificate.NotAfter) {
		t.NotAfter = a.certificate.NotAfter
	}
	for _, name := range r.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	for _, text := range r.URIs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("uri %q: %w", text, err)
		}
		t.URIs = append(t.URIs, u)
	}
	return t, nil
}

func newKey(asRSA bool) (crypto.Signer, error) {
	if asRSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil { // never happens, see crypto/rand
		return big.NewInt(time.Now().UnixNano())
	}
	return n
}
