// Package service is IoT Hub's REST API of the service side, as far as an edge device's
// developer meets it: the registry, twins, queries for twins, and direct methods. The same
// handler answers calls from module to module in the edge hub's own form, which on a real
// device come in on port 443 of the edge hub.
package service

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxBody bounds a request: the largest is a bulk of a hundred devices, or a method's
// payload of 128 KiB.
const maxBody = 1 << 20

// API is the REST API as an HTTP handler that asks for no token: New(hub).Guarded() does.
type API struct {
	hub    *edge.Hub
	routes *http.ServeMux
}

// New builds the API. The value of api-version is not looked at.
func New(hub *edge.Hub) *API {
	a := &API{hub: hub, routes: http.NewServeMux()}
	for _, path := range []string{"/twins/{device}", "/twins/{device}/modules/{module}"} {
		a.routes.HandleFunc("GET "+path, a.getTwin)
		a.routes.HandleFunc("PATCH "+path, a.patchTwin)
		a.routes.HandleFunc("PUT "+path, a.patchTwin)
		a.routes.HandleFunc("POST "+path+"/methods", a.invoke)
	}
	for _, path := range []string{"/devices/{device}", "/devices/{device}/modules/{module}"} {
		a.routes.HandleFunc("GET "+path, a.getEntry)
		a.routes.HandleFunc("PUT "+path, a.putEntry)
		a.routes.HandleFunc("DELETE "+path, a.deleteEntry)
	}
	for _, path := range []string{"/devices", "/devices/{$}"} {
		a.routes.HandleFunc("GET "+path, a.listDevices)
		a.routes.HandleFunc("POST "+path, a.bulk)
	}
	a.routes.HandleFunc("GET /devices/{device}/modules", a.listModules)
	a.routes.HandleFunc("POST /devices/query", a.query)
	a.routes.HandleFunc("GET /statistics/devices", a.statistics)
	a.routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		cloudError(w, http.StatusNotFound, "ErrorCode:NotFound;"+r.Method+" "+r.URL.Path+" is not simulated")
	})
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.routes.ServeHTTP(w, r)
}

// Guarded returns the API for everyone who can reach it: a request needs a token of the
// hub's policy, for the hub under its own name or the one that the caller used. Calls from
// module to module bring the caller's token, which invoke judges.
func (a *API) Guarded() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(callerHeader) == "" {
			host := r.Host
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			if err := a.hub.CheckService(r.Header.Get("Authorization"), host); err != nil {
				fail(w, err)
				return
			}
		} else if !aboutMethods(r) {
			fail(w, fmt.Errorf("%w: modules may call methods only", edge.ErrUnauthorized))
			return
		}
		a.ServeHTTP(w, r)
	})
}

// Between returns what an edge hub serves itself, beside its WebSocket door: calls from
// module to module. Errors have the edge hub's form.
func (a *API) Between() http.Handler {
	guarded := a.Guarded()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost || !aboutMethods(r):
			reply(w, http.StatusNotFound, message("a WebSocket, or a direct method from module to module, is wanted"))
		case r.Header.Get(callerHeader) == "":
			reply(w, http.StatusBadRequest, message("the header x-ms-edge-moduleId is missing"))
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

func aboutMethods(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/twins/") && strings.HasSuffix(r.URL.Path, "/methods")
}
