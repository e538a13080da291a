package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// authority issues certificates for one test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	issued := a.issue(tb, template)
	a.certificate, a.key = issued.Leaf, issued.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.certificate)
	return a
}

// issue signs the template, or lets it sign itself when there is no authority yet.
func (a *authority) issue(tb testing.TB, template *x509.Certificate) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) server(tb testing.TB) tls.Certificate {
	tb.Helper()
	return a.issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: "gateway"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func (a *authority) device(tb testing.TB) tls.Certificate {
	tb.Helper()
	return a.issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: "meter-7"}, DNSNames: []string{"meter-7.example.com"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func secure(tb testing.TB, conn net.Conn, config *tls.Config) *tls.Conn {
	tb.Helper()
	config.ServerName = "127.0.0.1"
	c := tls.Client(conn, config)
	if err := c.HandshakeContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestTLSLinkKnowsTheVerifiedCertificate(t *testing.T) {
	ca := newAuthority(t)
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.server(t)},
		ClientCAs:    ca.pool, ClientAuth: tls.VerifyClientCertIfGiven,
	}
	links := make(chan *Link, 2)
	l := serve(t, Options{Network: "tls", TLS: config}, handlerFuncs{stream: func(ctx context.Context, k *Link) {
		links <- k
		echo(ctx, k)
	}})
	device := ca.device(t)
	for name, certificates := range map[string][]tls.Certificate{"with": {device}, "without": nil} {
		t.Run(name+" a certificate", func(t *testing.T) {
			conn := secure(t, dial(t, l), &tls.Config{RootCAs: ca.pool, Certificates: certificates})
			write(t, conn, "hi")
			wantText(t, conn, "hi")
			k := receive(t, links, "link")
			p := k.Peer()
			if leaf := k.Certificate(); (leaf != nil) != (certificates != nil) || leaf != nil && !leaf.Equal(device.Leaf) {
				t.Errorf("certificate %v", leaf)
			}
			if p.Transport != "tls" {
				t.Errorf("transport %q", p.Transport)
			}
			if certificates == nil {
				if p.TLS != nil {
					t.Errorf("identity %+v of a device that showed none", p.TLS)
				}
				return
			}
			sum := sha256.Sum256(device.Leaf.Raw)
			if p.TLS == nil || p.TLS.CommonName != "meter-7" || p.TLS.Names[0] != "meter-7.example.com" ||
				p.TLS.Fingerprint != hex.EncodeToString(sum[:]) {
				t.Errorf("identity %+v", p.TLS)
			}
		})
	}
}

func TestTLSCloseFlushesAndSaysGoodbye(t *testing.T) {
	ca := newAuthority(t)
	l := serve(t, Options{Network: "tls", TLS: &tls.Config{Certificates: []tls.Certificate{ca.server(t)}}},
		handlerFuncs{stream: func(_ context.Context, k *Link) {
			_ = k.Send([]byte("bye"))
			k.Close("over")
		}})
	conn := secure(t, dial(t, l), &tls.Config{RootCAs: ca.pool})
	got, err := io.ReadAll(conn) // crypto/tls reports a missing close_notify as an error
	if err != nil || string(got) != "bye" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestStalledHandshakesHoldUpNobody(t *testing.T) {
	ca := newAuthority(t)
	l := serve(t, Options{Network: "tls", TLS: &tls.Config{Certificates: []tls.Certificate{ca.server(t)}}},
		handlerFuncs{stream: echo})
	for range 20 {
		write(t, dial(t, l), "\x16\x03") // the beginning of a record, and nothing more
	}
	conn := secure(t, dial(t, l), &tls.Config{RootCAs: ca.pool})
	exchange(t, conn, "hi")
	if l.Links() != 21 {
		t.Errorf("%d links, want the stalled ones counted too", l.Links())
	}
	// The cleanup closes the listener: Serve must return without waiting for them.
}

func TestHandshakeGivesUpAtItsDeadline(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	began := time.Now()
	_, _, err := handshake(t.Context(), expiring{server}, &tls.Config{})
	if err == nil || time.Since(began) > handshakeTimeout {
		t.Errorf("handshake with a silent device: %v after %v", err, time.Since(began))
	}
}

// expiring makes every deadline come at once.
type expiring struct{ net.Conn }

func (c expiring) SetDeadline(time.Time) error { return c.Conn.SetDeadline(time.Now()) }

func TestTLSGarbageIsRefused(t *testing.T) {
	ca := newAuthority(t)
	var refused refusals
	l := serve(t, Options{
		Network: "tls", Refused: refused.add,
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.server(t)}},
	}, handlerFuncs{stream: echo})
	conn := dial(t, l)
	write(t, conn, "GET / HTTP/1.1\r\n\r\n")
	eventually(t, "the refusal is counted", func() bool { return refused.of(RefusedTLS) == 1 })
	eventually(t, "the link has left", func() bool { return l.Links() == 0 })
}

func TestProxyHeaderBeforeTLS(t *testing.T) {
	ca := newAuthority(t)
	links := make(chan *Link, 1)
	l := serve(t, Options{
		Network: "tls", TLS: &tls.Config{Certificates: []tls.Certificate{ca.server(t)}},
		Proxy: ProxyOptions{Mode: ProxyRequire, Trusted: prefixes(t, "127.0.0.0/8")},
	}, handlerFuncs{stream: func(ctx context.Context, k *Link) {
		links <- k
		echo(ctx, k)
	}})
	raw := dial(t, l)
	write(t, raw, string(proxyHeader(t, 2, proxyproto.TCPv4, "203.0.113.9:4000")))
	exchange(t, secure(t, raw, &tls.Config{RootCAs: ca.pool}), "hi")
	if remote := receive(t, links, "link").Peer().Remote; remote.String() != "203.0.113.9:4000" {
		t.Errorf("remote is %s", remote)
	}
}
