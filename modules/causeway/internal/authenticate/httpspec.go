package authenticate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	maxHeaders    = 32
	maxTemplate   = 16 << 10 // of a URL, a header, or all of a body
	mostHTTP      = 256      // requests at once
	mostCache     = 100_000  // verdicts, some 250 bytes each
	mostCacheTime = 24 * 3600
)

// HTTPSpec is the settings of the kind http: a service decides.
//
// Url, header values and the strings of body may have {device}, {listener}, {remote} and
// {secret} in them, which are escaped as their place demands.
type HTTPSpec struct {
	// Method is GET, POST (the default) or PUT.
	Method string `json:"method"`
	// URL is that of the service; its scheme and host are fixed. A secret in it would
	// come into the logs of others: it belongs into the body or a header.
	URL string `json:"url"`
	// Headers are by name; a value is a text, or the source of the gateway's own secret.
	Headers map[string]headerValue `json:"headers"`
	// Body is any JSON; without it a POST or PUT has all four, each under its name.
	Body json.RawMessage `json:"body"`
	// Plain allows http://, which anybody on the way can read and change.
	Plain bool `json:"plain"`
	// CA is a PEM bundle that the service's certificate is verified with, instead of the
	// system's.
	CA *source `json:"ca"`
	// TimeoutSeconds bounds a request with its answer: 5.
	TimeoutSeconds int `json:"timeoutSeconds"`
	// Concurrency bounds the requests at once: 16. As many times 64 wait.
	Concurrency int `json:"concurrency"`
	// Cache keeps verdicts.
	Cache cacheSpec `json:"cache"`
	// Breaker spares a service that fails.
	Breaker breakerSpec `json:"breaker"`
}

// cacheSpec bounds the verdicts that are kept: 10,000 of each kind, an admission for 300
// seconds, anything else for 10. Zero seconds keep nothing.
type cacheSpec struct {
	Entries      int `json:"entries"`
	AllowSeconds int `json:"allowSeconds"`
	DenySeconds  int `json:"denySeconds"`
}

// breakerSpec says how many failures one after another (5) keep requests away for how
// long (10); then one tries.
type breakerSpec struct {
	Failures    int `json:"failures"`
	OpenSeconds int `json:"openSeconds"`
}

// headerValue is a template, or the source of a secret.
type headerValue struct {
	text   string
	source *source
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *headerValue) UnmarshalJSON(raw []byte) error {
	if raw[0] == '{' {
		h.source = &source{}
		return h.source.UnmarshalJSON(raw)
	}
	if json.Unmarshal(raw, &h.text) != nil {
		return codec.Optionf("", `want a text, or {"env": "NAME"} or {"file": "/path"}`)
	}
	return nil
}

func parseHTTP(settings json.RawMessage) (*HTTPSpec, error) {
	spec := &HTTPSpec{
		Method: http.MethodPost, TimeoutSeconds: 5, Concurrency: 16,
		Cache:   cacheSpec{Entries: 10_000, AllowSeconds: 300, DenySeconds: 10},
		Breaker: breakerSpec{Failures: 5, OpenSeconds: 10},
	}
	if err := codec.DecodeOptions(settings, spec); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, spec.Method) {
		return nil, codec.Optionf("/method", "got %q, want GET, POST or PUT", short(spec.Method))
	}
	for _, n := range []struct {
		at             string
		n, least, most int
	}{
		{"/headers", len(spec.Headers), 0, maxHeaders},
		{"/body", len(spec.Body), 0, maxTemplate},
		{"/timeoutSeconds", spec.TimeoutSeconds, 1, 30},
		{"/concurrency", spec.Concurrency, 1, mostHTTP},
		{"/cache/entries", spec.Cache.Entries, 1, mostCache},
		{"/cache/allowSeconds", spec.Cache.AllowSeconds, 0, mostCacheTime},
		{"/cache/denySeconds", spec.Cache.DenySeconds, 0, mostCacheTime},
		{"/breaker/failures", spec.Breaker.Failures, 1, 1000},
		{"/breaker/openSeconds", spec.Breaker.OpenSeconds, 1, 3600},
	} {
		if err := within(n.at, n.n, n.least, n.most); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// client makes the client of a service: verified TLS, no redirects, a bounded number of
// connections.
func client(ca *source, timeout time.Duration, conns int, deps Deps) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		pem, err := ca.read("/ca", deps)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, codec.Optionf("/ca", "has no certificate in PEM form")
		}
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig: config, ForceAttemptHTTP2: true,
			MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
		},
		// A redirect is an answer like another: the request has a secret, and is for the
		// service that the configuration names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// address judges a URL of the settings, and returns where its path begins.
func address(at, text string, plain bool) (path int, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "https" && (scheme != "http" || !plain) {
		want := "https://host/path"
		if scheme == "http" {
			want += `; http:// only with "plain": true`
		}
		return 0, codec.Optionf(at, "want %s", want) // not shown: it may have a key in it
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	switch host := rest[:end]; {
	case host == "" || len(text) > maxTemplate || strings.ContainsRune(rest, '#'):
		return 0, codec.Optionf(at, "want https://host/path of at most %d bytes", maxTemplate)
	case strings.ContainsRune(host, '@'):
		return 0, codec.Optionf(at, "has a user in it, which everybody sees who reads the configuration; "+
			"that belongs into a header")
	case strings.ContainsAny(host, "{}"):
		return 0, codec.Optionf(at, "the host cannot depend on the device")
	}
	return len(scheme) + len("://") + end, nil
}
