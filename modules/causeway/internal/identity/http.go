package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxLookups bounds the lookups of one source at a time: after an outage all devices
	// ask.
	maxLookups = 8
	// maxAnswer bounds an answer; a chain of certificates is some 10 KiB.
	maxAnswer = 64 << 10
	// maxFailures in a row and the service is left alone for breakTime.
	maxFailures = 5
	breakTime   = 30 * time.Second
)

// lookup asks a service over HTTP. Its errors never show the address, which may hold a
// secret in its query, nor what the service says beyond its status.
type lookup struct {
	before, after string // the address around the device's id
	headers       http.Header
	client        *http.Client
	breaker       *gobreaker.CircuitBreaker[Credential]
	slots         chan struct{}
}

// errAway is wrapped by failures of the service, in contrast to what it says of a device.
var errAway = errors.New("the service does not answer")

type httpSetting struct {
	Kind           string                    `json:"kind"`
	Order          int                       `json:"order"`
	URL            string                    `json:"url"`
	Headers        map[string]*headerSetting `json:"headers"`
	CA             string                    `json:"ca"`
	TimeoutSeconds int                       `json:"timeoutSeconds"`
	CacheSeconds   int                       `json:"cacheSeconds"`
	UnknownSeconds int                       `json:"unknownSeconds"`
	StaleSeconds   int                       `json:"staleSeconds"`
}

// headerSetting is a header's value, or where a secret one is.
type headerSetting struct {
	Text string `json:"text"`
	Env  string `json:"env"`
	File string `json:"file"`
}

func (p *keyParser) http(raw json.RawMessage) (Source, error) {
	set := httpSetting{TimeoutSeconds: 5, CacheSeconds: 4 * 3600, UnknownSeconds: 30, StaleSeconds: 24 * 3600}
	if err := codec.DecodeOptions(raw, &set); err != nil {
		return nil, err
	}
	for _, r := range []struct {
		name              string
		value, least, top int
	}{
		{"timeoutSeconds", set.TimeoutSeconds, 1, 60},
		{"cacheSeconds", set.CacheSeconds, 0, 604800},
		{"unknownSeconds", set.UnknownSeconds, 0, 86400},
		{"staleSeconds", set.StaleSeconds, 0, 604800},
	} {
		if r.value < r.least || r.value > r.top {
			return nil, codec.Optionf("/"+r.name, "got %d, want %d to %d", r.value, r.least, r.top)
		}
	}
	made, err := newLookup(set, p.with)
	if err != nil {
		return nil, err
	}
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	return newCache(made, lifetimes{
		known: seconds(set.CacheSeconds), unknown: seconds(set.UnknownSeconds), stale: seconds(set.StaleSeconds),
	}, p.settings.Most)
}

func newLookup(set httpSetting, with Surroundings) (*lookup, error) {
	l := &lookup{headers: make(http.Header), slots: make(chan struct{}, maxLookups)}
	var err error
	if l.before, l.after, err = splitTemplate(set.URL); err != nil {
		return nil, codec.Optionf("/url", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(set.Headers)) {
		value, err := set.Headers[name].read(with)
		if err != nil {
			return nil, below("/headers/"+escape(name), err)
		}
		l.headers.Set(name, value)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if set.CA != "" {
		pem, err := with.ReadFile(set.CA)
		if err != nil {
			return nil, codec.Optionf("/ca", "%v", err)
		}
		if trust.RootCAs = x509.NewCertPool(); !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, codec.Optionf("/ca", "%s has no PEM certificate", set.CA)
		}
	}
	l.client = &http.Client{
		// A new connection for each: they are few, thanks to the cache, and none has to be
		// closed when the configuration changes.
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment},
		Timeout:   time.Duration(set.TimeoutSeconds) * time.Second,
		// The headers hold secrets, which are for this service only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	l.breaker = gobreaker.NewCircuitBreaker[Credential](gobreaker.Settings{
		Timeout:      breakTime,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= maxFailures },
		IsSuccessful: func(err error) bool { return !errors.Is(err, errAway) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	return l, nil
}

// splitTemplate cuts an address at {device}. Its errors do not show the address.
func splitTemplate(template string) (before, after string, err error) {
	const mark = "{device}"
	before, after, found := strings.Cut(template, mark)
	u, err := url.Parse(before + "x" + after)
	switch {
	case err != nil:
		return "", "", errors.New("is no address")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return "", "", errors.New("want https://host/path, or http:// within the device")
	case !found || strings.Contains(after, mark):
		return "", "", errors.New("want {device} once, in the path or the query")
	case u.User != nil:
		return "", "", errors.New("has a user name, want a header Authorization instead")
	case u.Fragment != "":
		return "", "", errors.New("has a fragment, which is not sent")
	}
	if host, err := url.Parse(before); err != nil || host.Host != u.Host {
		return "", "", errors.New("has {device} in its host, want it in the path or the query")
	}
	return before, after, nil
}

func (h *headerSetting) read(with Surroundings) (string, error) {
	if h == nil {
		h = new(headerSetting)
	}
	given := 0
	for _, text := range []string{h.Text, h.Env, h.File} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return "", codec.Optionf("", "want exactly one of text, env and file")
	}
	value := h.Text
	if value == "" {
		var err error
		if value, err = (&secretSetting{Env: h.Env, File: h.File}).read(with); err != nil {
			return "", err
		}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", codec.Optionf("", "has a control character, which no header may have")
	}
	return value, nil
}

// Credential implements Source.
func (l *lookup) Credential(ctx context.Context, hubDevice string) (Credential, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return Credential{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	c, err := l.breaker.Execute(func() (Credential, error) { return l.ask(ctx, hubDevice) })
	switch {
	case err == nil || errors.Is(err, ErrUnknown):
		return c, err
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return c, fmt.Errorf("%w: the service failed %d times, and is asked again after %s",
			ErrUnavailable, maxFailures, breakTime)
	default:
		return c, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

func (l *lookup) ask(ctx context.Context, hubDevice string) (Credential, error) {
	id := strings.ReplaceAll(url.QueryEscape(hubDevice), "+", "%20") // right in a path and in a query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.before+id+l.after, http.NoBody)
	if err != nil {
		return Credential{}, errors.New("the address cannot be asked")
	}
	req.Header = l.headers.Clone()
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	resp, err := l.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address
		}
		return Credential{}, fmt.Errorf("%w: %w", errAway, err)
	}
	defer resp.Body.Close() //nolint:errcheck // everything needed has been read
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		return Credential{}, ErrUnknown
	case code >= 500 || code == http.StatusTooManyRequests:
		return Credential{}, fmt.Errorf("%w: status %d", errAway, code)
	case code != http.StatusOK:
		return Credential{}, fmt.Errorf("status %d, want 200 or 404", code)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", errAway, err)
	}
	return parseAnswer(body)
}

// parseAnswer reads {"key"} or {"certificate","privateKey"}; what else is there does not
// matter. Errors never show it.
func parseAnswer(body []byte) (Credential, error) {
	if len(body) > maxAnswer {
		return Credential{}, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	var answer struct {
		Key         string `json:"key"`
		Certificate string `json:"certificate"`
		PrivateKey  string `json:"privateKey"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return Credential{}, errors.New("the answer is no JSON object of texts")
	}
	switch {
	case answer.Key != "" && answer.Certificate == "" && answer.PrivateKey == "":
		key, err := decodeKey(answer.Key)
		if err != nil {
			return Credential{}, err
		}
		return symmetric(key), nil
	case answer.Key == "" && answer.Certificate != "" && answer.PrivateKey != "":
		return certified([]byte(answer.Certificate), []byte(answer.PrivateKey))
	default:
		return Credential{}, errors.New("the answer must have either key, or certificate and privateKey")
	}
}
