// Package workload serves the workload API of the IoT Edge daemon: signatures with a
// module's key, encryption, certificates and the trust bundle, over a unix socket.
// It does not look at the caller's process id, as modules are plain local processes here.
package workload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/pki"
)

// maxRequest bounds a request body; the real payloads are small.
const maxRequest = 1 << 20

// maxConcurrent is how many requests the real daemon serves at once on a socket.
const maxConcurrent = 10

// ErrUnknownModule is what a Registry returns for a stranger: the caller sees 403, as a
// process of another module does on a real device.
var ErrUnknownModule = errors.New("module is not known")

// Registry knows the modules.
type Registry interface {
	// Key returns a module's raw key. The error wraps ErrUnknownModule for a stranger.
	Key(module string) ([]byte, error)
	// Modules lists the modules' names.
	Modules() []string
}

// Authority signs certificates; *pki.Authority is one.
type Authority interface {
	Issue(pki.Request) (pki.Issued, error)
	PEM() []byte
}

// API is the workload API as an HTTP handler.
type API struct {
	registry  Registry
	authority Authority
	// hub and device go into identity certificates.
	hub, device string
	master      []byte
	slots       chan struct{}
	routes      *http.ServeMux
}

// New builds the API. master is the daemon's own encryption key, 32 bytes.
func New(registry Registry, authority Authority, hub, device string, master []byte) (*API, error) {
	if len(master) != 32 {
		return nil, fmt.Errorf("workload: master key has %d bytes, it must have 32", len(master))
	}
	a := &API{
		registry: registry, authority: authority, hub: hub, device: device, master: master,
		slots: make(chan struct{}, maxConcurrent), routes: http.NewServeMux(),
	}
	a.handle("GET", "/modules", a.modules)
	a.handle("GET", "/modules/{$}", a.modules)
	a.handle("GET", "/trust-bundle", a.trustBundle)
	a.handle("GET", "/manifest-trust-bundle", a.manifestTrustBundle)
	a.handle("POST", "/modules/{name}/genid/{gen}/sign", a.sign)
	a.handle("POST", "/modules/{name}/genid/{gen}/encrypt", a.encrypt)
	a.handle("POST", "/modules/{name}/genid/{gen}/decrypt", a.decrypt)
	a.handle("POST", "/modules/{name}/genid/{gen}/certificate/server", a.serverCertificate)
	a.handle("POST", "/modules/{name}/certificate/identity", a.identityCertificate)
	a.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, &apiError{http.StatusNotFound, "not found"})
	})
	return a, nil
}

// apiError is an error with its status.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-r.Context().Done():
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	a.routes.ServeHTTP(w, r)
}

// handle serves one path. Like the daemon it answers a wrong method with 400.
func (a *API) handle(method, path string, serve func(r *http.Request) (int, any, error)) {
	a.routes.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		status, answer, err := 0, any(nil), checkVersion(r)
		if err == nil && r.Method != method {
			err = badRequest("method %s is not allowed", r.Method)
		}
		if err == nil {
			status, answer, err = serve(r)
		}
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, status, answer)
	})
}

func checkVersion(r *http.Request) error {
	version := r.URL.Query().Get("api-version")
	known := []string{"2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2021-12-07", "2022-08-03"}
	if version == "" {
		return badRequest("api-version is missing")
	}
	if !slices.Contains(known, version) {
		return badRequest("api-version %q is not one of %s", version, strings.Join(known, ", "))
	}
	return nil
}

func reply(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that has gone needs no answer
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var known *apiError
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.Is(err, ErrUnknownModule):
		status, err = http.StatusForbidden, errors.New("forbidden")
	}
	reply(w, status, map[string]string{"message": err.Error()})
}

// read decodes a JSON body into request.
func read(r *http.Request, request any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return badRequest("content type must be application/json, it is %q", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return badRequest("read body: %v", err)
	}
	if len(body) == 0 {
		return badRequest("body is missing")
	}
	if err := json.Unmarshal(body, request); err != nil {
		return badRequest("body must be a JSON object: %v", err)
	}
	return nil
}

func decode64(field, text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, badRequest("%s must be base64: %v", field, err)
	}
	return data, nil
}

type signRequest struct {
	KeyID string `json:"keyId"`
	Algo  string `json:"algo"`
	Data  string `json:"data"`
}

// sign ignores keyId, algo and the generation, as the daemon does.
func (a *API) sign(r *http.Request) (int, any, error) {
	key, err := a.registry.Key(r.PathValue("name"))
	if err != nil {
		return 0, nil, fmt.Errorf("sign: %w", err)
	}
	var request signRequest
	if err := read(r, &request); err != nil {
		return 0, nil, err
	}
	data, err := decode64("data", request.Data)
	if err != nil {
		return 0, nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return http.StatusOK, map[string]string{"digest": base64.StdEncoding.EncodeToString(mac.Sum(nil))}, nil
}

func (a *API) trustBundle(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]string{"certificate": string(a.authority.PEM())}, nil
}

func (a *API) manifestTrustBundle(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]string{"certificate": ""}, nil
}

type moduleEntry struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	Type   string       `json:"type"`
	Config moduleConfig `json:"config"`
	Status moduleStatus `json:"status"`
}

type moduleConfig struct {
	Settings map[string]string   `json:"settings"`
	Env      []map[string]string `json:"env"`
}

type moduleStatus struct {
	RuntimeStatus map[string]string `json:"runtimeStatus"`
}

func (a *API) modules(*http.Request) (int, any, error) {
	list := []moduleEntry{}
	for _, name := range a.registry.Modules() {
		list = append(list, moduleEntry{
			ID: name, Name: name, Type: "docker",
			Config: moduleConfig{Settings: map[string]string{}, Env: []map[string]string{}},
			Status: moduleStatus{RuntimeStatus: map[string]string{"status": "running", "description": "running"}},
		})
	}
	return http.StatusOK, map[string]any{"modules": list}, nil
}

type certificateAnswer struct {
	PrivateKey  privateKey `json:"privateKey"`
	Certificate string     `json:"certificate"`
	Expiration  string     `json:"expiration"`
}

type privateKey struct {
	Type  string `json:"type"`
	Bytes string `json:"bytes"`
}

func answerWith(issued pki.Issued) certificateAnswer {
	return certificateAnswer{
		PrivateKey:  privateKey{Type: "key", Bytes: string(issued.Key)},
		Certificate: string(issued.Chain),
		Expiration:  issued.NotAfter.UTC().Format(time.RFC3339),
	}
}

type certificateRequest struct {
	CommonName string `json:"commonName"`
	Expiration string `json:"expiration"`
}

func (a *API) serverCertificate(r *http.Request) (int, any, error) {
	name := r.PathValue("name")
	if _, err := a.registry.Key(name); err != nil {
		return 0, nil, fmt.Errorf("server certificate: %w", err)
	}
	var request certificateRequest
	if err := read(r, &request); err != nil {
		return 0, nil, err
	}
	end, err := time.Parse(time.RFC3339, request.Expiration)
	if err != nil || !end.After(time.Now()) {
		return 0, nil, badRequest("expiration %q must be an ISO 8601 time to come", request.Expiration)
	}
	if request.CommonName == "" {
		return 0, nil, badRequest("commonName is missing")
	}
	issued, err := a.authority.Issue(pki.Request{
		CommonName: request.CommonName,
		Names:      []string{request.CommonName, strings.TrimPrefix(name, "$")},
		NotAfter:   end, RSA: true,
	})
	if err != nil {
		return 0, nil, fmt.Errorf("server certificate: %w", err)
	}
	return http.StatusCreated, answerWith(issued), nil
}

// identityLife is how long an identity certificate is good for; the request cannot say.
const identityLife = 7 * 24 * time.Hour

func (a *API) identityCertificate(r *http.Request) (int, any, error) {
	name := r.PathValue("name")
	if _, err := a.registry.Key(name); err != nil {
		return 0, nil, fmt.Errorf("identity certificate: %w", err)
	}
	issued, err := a.authority.Issue(pki.Request{
		CommonName: name, Client: true, RSA: true, NotAfter: time.Now().Add(identityLife),
		URIs: []string{"azureiot://" + a.hub + "/devices/" + a.device + "/modules/" + name},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("identity certificate: %w", err)
	}
	return http.StatusCreated, answerWith(issued), nil
}
