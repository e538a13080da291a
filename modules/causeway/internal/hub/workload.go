package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// workloadVersion is the version that Microsoft's SDKs hard-code; every
	// workload route accepts it.
	workloadVersion = "2018-06-28"
	// workloadTimeout bounds one call; the daemon answers from memory or from a
	// local key service.
	workloadTimeout = 30 * time.Second
	// workloadAnswerLimit bounds an answer; a trust bundle of a few certificates
	// is some 10 KiB.
	workloadAnswerLimit = 1 << 20
)

// ErrWorkload is wrapped by every error of the workload API.
var ErrWorkload = errors.New("workload api")

// Workload is a client of the security daemon's workload API
// (edgelet-http-workload). It is safe for concurrent use. It connects anew for
// each call, because the daemon's socket is made again when the agent restarts.
type Workload struct {
	base       string
	module     string
	generation string
	client     *http.Client
}

// NewWorkload makes a client from IOTEDGE_WORKLOADURI (unix:///path or
// http://host:port), the module's id and its generation id. The error wraps
// ErrCredentials.
func NewWorkload(uri, module, generation string) (*Workload, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: IOTEDGE_WORKLOADURI %q: %w", ErrCredentials, uri, err)
	}
	w := &Workload{module: module, generation: generation}
	transport := &http.Transport{DisableKeepAlives: true}
	switch {
	case u.Scheme == "unix" && u.Path != "":
		path := u.Path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		w.base = "http://workload"
	case u.Scheme == "http" && u.Host != "":
		w.base = strings.TrimSuffix(uri, "/")
	default:
		return nil, fmt.Errorf("%w: IOTEDGE_WORKLOADURI %q: want unix:///path or http://host:port", ErrCredentials, uri)
	}
	w.client = &http.Client{Transport: transport, Timeout: workloadTimeout}
	return w, nil
}

// Sign implements Signer with the module's key, which never leaves the daemon.
func (w *Workload) Sign(ctx context.Context, data []byte) (string, error) {
	request := map[string]string{
		"keyId": "primary", "algo": "HMACSHA256", "data": base64.StdEncoding.EncodeToString(data),
	}
	var answer struct {
		Digest string `json:"digest"`
	}
	if err := w.call(ctx, http.MethodPost, w.modulePath("sign"), request, &answer); err != nil {
		return "", err
	}
	if answer.Digest == "" {
		return "", fmt.Errorf("%w: sign: empty digest", ErrWorkload)
	}
	return answer.Digest, nil
}

// TrustBundle returns the certificates that sign the edge hub's.
func (w *Workload) TrustBundle(ctx context.Context) (*x509.CertPool, error) {
	var answer struct {
		Certificate string `json:"certificate"`
	}
	if err := w.call(ctx, http.MethodGet, "/trust-bundle", nil, &answer); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(answer.Certificate)) {
		return nil, fmt.Errorf("%w: trust bundle: no certificate in it", ErrWorkload)
	}
	return pool, nil
}

// ServerCertificate asks for a certificate of the edge CA for the host name, for
// listeners that speak TLS.
func (w *Workload) ServerCertificate(ctx context.Context, host string, expiry time.Time) (tls.Certificate, error) {
	request := map[string]string{"commonName": host, "expiration": expiry.UTC().Format(time.RFC3339)}
	var answer struct {
		PrivateKey struct {
			Bytes string `json:"bytes"`
		} `json:"privateKey"`
		Certificate string `json:"certificate"`
	}
	if err := w.call(ctx, http.MethodPost, w.modulePath("certificate/server"), request, &answer); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair([]byte(answer.Certificate), []byte(answer.PrivateKey.Bytes))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: server certificate: %w", ErrWorkload, err)
	}
	return pair, nil
}

func (w *Workload) modulePath(call string) string {
	return "/modules/" + escapeID(w.module) + "/genid/" + escapeID(w.generation) + "/" + call
}

func (w *Workload) call(ctx context.Context, method, path string, request, answer any) error {
	var body io.Reader
	if request != nil {
		b, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrWorkload, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.base+path+"?api-version="+workloadVersion, body)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrWorkload, path, err)
	}
	if request != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWorkload, err)
	}
	defer func() { _ = resp.Body.Close() }() // everything needed has been read
	b, err := io.ReadAll(io.LimitReader(resp.Body, workloadAnswerLimit))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrWorkload, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%w: %s: status %d: %.200q", ErrWorkload, path, resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrWorkload, path, err)
	}
	return nil
}
