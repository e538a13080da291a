// Package control is the simulator's HTTP side: the cloud's service API for methods and
// twins, and the switches by which people and tests watch the hub and make it misbehave.
// It asks nobody who they are, so it answers to loopback names only.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/service"
)

// maxBody bounds a request: the largest is an input message of 256 KiB.
const maxBody = 1 << 20

// Power is what can be done to the protocol heads.
type Power interface {
	// Down stops listening and ends every connection; abrupt ends them without a word.
	Down(abrupt bool) error
	// Up listens again on the same port.
	Up() error
	// DropAll cuts every TCP connection and returns how many there were.
	DropAll() int
	// Env returns a module's environment in a style.
	Env(module, style string) (map[string]string, error)
}

// API is the control API as an HTTP handler.
type API struct {
	hub    *edge.Hub
	power  Power
	routes *http.ServeMux
	origin *http.CrossOriginProtection
}

// New builds the API.
func New(hub *edge.Hub, power Power) *API {
	a := &API{hub: hub, power: power, routes: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /healthz":               a.health,
		"GET /stats":                 a.stats,
		"DELETE /stats/peaks":        a.restartPeaks,
		"GET /feedback":              a.feedback,
		"GET /routes":                func(*http.Request) (any, error) { return a.hub.Routes(), nil },
		"GET /identities":            a.identities,
		"POST /identities":           a.addIdentity,
		"POST /leaves":               a.addLeaves,
		"DELETE /identities":         a.removeIdentity,
		"GET /env/{module}":          a.env,
		"GET /faults":                a.listFaults,
		"POST /faults":               a.addFault,
		"DELETE /faults":             a.clearFaults,
		"POST /connections/drop":     a.dropConnections,
		"POST /tokens/expire":        a.expireTokens,
		"POST /hub/down":             a.hubDown,
		"POST /hub/up":               a.hubUp,
		"POST /cloud/cut":            a.cloudCut,
		"POST /cloud/restore":        a.cloudRestore,
		"POST /inputs/{module}/{in}": a.inject,
		"POST /devices/{device}/messages/devicebound": a.cloudToDevice,
	} {
		a.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := serve(r)
			if err != nil {
				fail(w, err)
				return
			}
			reply(w, http.StatusOK, answer)
		})
	}
	a.routes.HandleFunc("GET /messages", a.messages)
	a.routes.Handle("/twins/", service.New(hub))
	return a
}

// Handle serves further paths beside the API's own, behind the same checks. It is called
// before the first request.
func (a *API) Handle(pattern string, handler http.Handler) { a.routes.Handle(pattern, handler) }

// ServeHTTP implements http.Handler. The host check keeps web pages from reaching the
// API through a name of their own, the check of the origin from changing anything by its
// address: a browser says which page asks.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		reply(w, http.StatusForbidden, message("the control API answers to localhost only"))
		return
	}
	if err := a.origin.Check(r); err != nil {
		reply(w, http.StatusForbidden, message(err.Error()))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.routes.ServeHTTP(w, r)
}

func (a *API) health(*http.Request) (any, error) {
	return map[string]string{"status": "ok", "device": a.hub.Device(), "iothub": a.hub.IoTHub()}, nil
}

func message(text string) map[string]string { return map[string]string{"message": text} }

// badRequest is a caller's mistake.
type badRequest struct{ text string }

func (e *badRequest) Error() string { return e.text }

func bad(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var mistake *badRequest
	switch {
	case errors.As(err, &mistake):
		status = http.StatusBadRequest
	case errors.Is(err, edge.ErrUnknownIdentity):
		status = http.StatusNotFound
	}
	reply(w, status, message(err.Error()))
}

func reply(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has gone needs no answer
}

// read decodes a JSON object and refuses names it does not know.
func read(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return bad("body: %v", err)
	}
	return nil
}

// identity reads the query's identity: a module's bare name, device/module, or device/
// for a leaf device. Without one it is nil.
func (a *API) identity(text string) (*edge.Identity, error) {
	if text == "" {
		return nil, nil
	}
	id, err := ParseIdentity(text, a.hub.Device())
	if err != nil {
		return nil, bad("%v", err)
	}
	return &id, nil
}

// ParseIdentity reads "module", "device/module", or "device/" for a device.
func ParseIdentity(text, edgeDevice string) (edge.Identity, error) {
	device, module, ok := strings.Cut(text, "/")
	if !ok {
		device, module = edgeDevice, text
	}
	if device == "" || strings.Contains(module, "/") {
		return edge.Identity{}, fmt.Errorf("identity %q must be a module, device/module, or device/ for a leaf device", text)
	}
	return edge.Identity{Device: device, Module: module}, nil
}

func (a *API) env(r *http.Request) (any, error) {
	env, err := a.power.Env(r.PathValue("module"), r.URL.Query().Get("style"))
	if err != nil && !errors.Is(err, edge.ErrUnknownIdentity) {
		err = bad("%v", err)
	}
	return env, err
}

// inject takes the body as the message; the query's values become user properties.
func (a *API) inject(r *http.Request) (any, error) {
	m, err := readMessage(r)
	if err != nil {
		return nil, err
	}
	return queued(a.hub.InjectInput(r.PathValue("module"), r.PathValue("in"), m))
}

func queued(err error) (any, error) {
	var refusal *edge.Refusal
	if errors.As(err, &refusal) {
		err = bad("%v", err)
	}
	return map[string]bool{"queued": err == nil}, err
}

func readMessage(r *http.Request) (edge.Message, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return edge.Message{}, bad("body: %v", err)
	}
	m := edge.Message{Body: body, Properties: map[string]string{}, System: map[string]string{}}
	for name := range r.URL.Query() {
		m.Properties[name] = r.URL.Query().Get(name)
	}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		m.System["contentType"] = kind
	}
	if json.Valid(body) {
		m.System["contentType"], m.System["contentEncoding"] = "application/json", "utf-8"
	}
	return m, nil
}
