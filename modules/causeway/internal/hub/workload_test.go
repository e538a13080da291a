package hub

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
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// daemon serves a fake workload API on a unix socket until the test ends.
func daemon(t *testing.T, handler http.HandlerFunc) *Workload {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") //nolint:usetesting // t.TempDir may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(socket) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		_ = os.RemoveAll(dir)
	})
	w, err := NewWorkload("unix://"+path, "cause+way", "63f1")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// selfSigned returns a certificate and its key as PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edge"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func answer(t *testing.T, w http.ResponseWriter, status int, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func TestWorkloadCallsAsTheDaemonExpects(t *testing.T) {
	certificate, key := selfSigned(t)
	var asked, body string
	w := daemon(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked, body = r.Method+" "+r.URL.RequestURI(), string(b)
		switch {
		case strings.HasPrefix(r.URL.Path, "/trust-bundle"):
			answer(t, rw, http.StatusOK, map[string]any{"certificate": certificate})
		case strings.HasSuffix(r.URL.Path, "/sign"):
			answer(t, rw, http.StatusOK, map[string]any{"digest": "ZGlnZXN0"})
		default:
			answer(t, rw, http.StatusCreated, map[string]any{
				"privateKey": map[string]any{"type": "key", "bytes": key}, "certificate": certificate,
				"expiration": "2026-08-01T12:00:00Z",
			})
		}
	})
	digest, err := w.Sign(t.Context(), []byte("data"))
	if err != nil || digest != "ZGlnZXN0" {
		t.Errorf("sign gives %q, %v", digest, err)
	}
	const sign = "POST /modules/cause%2Bway/genid/63f1/sign?api-version=2018-06-28"
	if asked != sign || body != `{"algo":"HMACSHA256","data":"ZGF0YQ==","keyId":"primary"}` {
		t.Errorf("sign asks %s with %s", asked, body)
	}
	if _, err := w.TrustBundle(t.Context()); err != nil || asked != "GET /trust-bundle?api-version=2018-06-28" {
		t.Errorf("trust bundle asks %s: %v", asked, err)
	}
	pair, err := w.ServerCertificate(t.Context(), "edge", time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC))
	if err != nil || len(pair.Certificate) != 1 {
		t.Errorf("server certificate: %v", err)
	}
	const server = "POST /modules/cause%2Bway/genid/63f1/certificate/server?api-version=2018-06-28"
	if asked != server || body != `{"commonName":"edge","expiration":"2026-08-01T12:00:00Z"}` {
		t.Errorf("server certificate asks %s with %s", asked, body)
	}
}

func TestWorkloadFailuresAreErrorsThatSayWhat(t *testing.T) {
	type call func(context.Context, *Workload) error
	sign := func(ctx context.Context, w *Workload) error { _, err := w.Sign(ctx, nil); return err }
	bundle := func(ctx context.Context, w *Workload) error { _, err := w.TrustBundle(ctx); return err }
	server := func(ctx context.Context, w *Workload) error {
		_, err := w.ServerCertificate(ctx, "edge", time.Now())
		return err
	}
	cases := []struct {
		name   string
		status int
		body   string
		call   call
		want   string
	}{
		{"forbidden", 403, `{"message":"forbidden"}`, sign, `status 403: "{\"message\":\"forbidden\"}"`},
		{"backend down", 500, strings.Repeat("x", 10_000), sign, "status 500"},
		{"no bundle", 404, `{"message":"not found"}`, bundle, "status 404"},
		{"garbage", 200, "\x00\xff garbage", sign, "invalid character"},
		{"nothing", 200, "", sign, "unexpected end"},
		{"empty digest", 200, `{"digest":""}`, sign, "empty digest"},
		{"an answer without end", 200, `{"digest":"` + strings.Repeat("x", workloadAnswerLimit), sign, "unexpected end"},
		{"a bundle without certificates", 200, `{"certificate":"none"}`, bundle, "no certificate"},
		{"a certificate without key", 201, `{"certificate":"none","privateKey":{"bytes":"none"}}`, server, "server certificate"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := daemon(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(c.status)
				_, _ = io.WriteString(rw, c.body)
			})
			err := c.call(t.Context(), w)
			if !errors.Is(err, ErrWorkload) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error text of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestWorkloadCallEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	w := daemon(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the caller left
		close(asked)
		<-r.Context().Done() // never answers
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	signed := make(chan error, 1)
	go func() {
		_, err := w.Sign(ctx, nil)
		signed <- err
	}()
	<-asked
	cancel()
	if err := <-signed; !errors.Is(err, ErrWorkload) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWorkloadThatIsNotThere(t *testing.T) {
	w, err := NewWorkload("unix:///nowhere/workload.sock", "m", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sign(t.Context(), nil); !errors.Is(err, ErrWorkload) {
		t.Errorf("got %v", err)
	}
}

func TestWorkloadURIThatCannotWorkIsRefused(t *testing.T) {
	for _, uri := range []string{"", "unix://", "http://", "https://edge", "fd://iotedge", "/var/run/x.sock", "unix://\x00"} {
		if _, err := NewWorkload(uri, "m", "1"); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q gives %v, want ErrCredentials", uri, err)
		}
	}
	if w, err := NewWorkload("http://127.0.0.1:1/", "m", "1"); err != nil || w.base != "http://127.0.0.1:1" {
		t.Errorf("an http address gives %+v, %v", w, err)
	}
}
