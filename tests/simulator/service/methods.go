package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// callerHeader names the module that calls another one.
const callerHeader = "X-Ms-Edge-Moduleid"

type methodBody struct {
	MethodName string          `json:"methodName"`
	Payload    json.RawMessage `json:"payload"`
	Response   *int            `json:"responseTimeoutInSeconds"`
	Connect    int             `json:"connectTimeoutInSeconds"`
}

// invoke serves the cloud's form and, when the header x-ms-edge-moduleId names a caller,
// the edge hub's own form for module to module calls: that needs the caller's token, has
// errors of another shape, and works without the cloud.
func (a *API) invoke(w http.ResponseWriter, r *http.Request) {
	failed, call := failCloudMethod, a.hub.InvokeFromCloud
	if caller := r.Header.Get(callerHeader); caller != "" {
		failed, call = failEdgeMethod, a.hub.Invoke
		if err := a.authorize(caller, r.Header.Get("Authorization")); err != nil {
			failed(w, err)
			return
		}
	}
	request, err := readMethod(r)
	if err != nil {
		failed(w, err)
		return
	}
	result, err := call(r.Context(), target(r), request)
	if err != nil {
		failed(w, err)
		return
	}
	reply(w, http.StatusOK, result)
}

func readMethod(r *http.Request) (edge.MethodRequest, error) {
	var body methodBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return edge.MethodRequest{}, fmt.Errorf("%w: body: %w", edge.ErrInvalidMethod, err)
	}
	request := edge.MethodRequest{
		Name: body.MethodName, Payload: body.Payload, ConnectTimeout: time.Duration(body.Connect) * time.Second,
	}
	if body.Response != nil {
		// Zero seconds is below the least, unlike an absent value.
		if request.ResponseTimeout = time.Duration(*body.Response) * time.Second; *body.Response == 0 {
			return edge.MethodRequest{}, fmt.Errorf("%w: responseTimeoutInSeconds is 0, it must be 5 to 300",
				edge.ErrInvalidMethod)
		}
	}
	return request, nil
}

func (a *API) authorize(caller, token string) error {
	device, module, ok := strings.Cut(caller, "/")
	if !ok || device == "" || module == "" {
		return bad("x-ms-edge-moduleId is %q, it must be device/module", caller)
	}
	if device != a.hub.Device() {
		return fmt.Errorf("%w: %s is not on this device", edge.ErrUnauthorized, caller)
	}
	return a.hub.Authenticate(edge.Identity{Device: device, Module: module}, token)
}

func failCloudMethod(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, edge.ErrNotConnected):
		cloudCode(w, http.StatusNotFound, 404103, "Timed out waiting for device to connect.")
	case errors.Is(err, edge.ErrMethodTimeout):
		cloudCode(w, http.StatusGatewayTimeout, 504101, "Timed out waiting for the response from device.")
	default:
		fail(w, err)
	}
}

func message(text string) map[string]string { return map[string]string{"message": text} }

func failEdgeMethod(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, edge.ErrUnauthorized):
		status = http.StatusUnauthorized
	case errors.Is(err, edge.ErrUnknownIdentity), errors.Is(err, edge.ErrNotConnected):
		status = http.StatusNotFound
	case errors.Is(err, edge.ErrMethodTimeout):
		status = http.StatusGatewayTimeout
	case errors.Is(err, edge.ErrTooManyCalls):
		status = http.StatusTooManyRequests
	case errors.Is(err, edge.ErrInvalidMethod), errors.As(err, new(*badRequest)):
		status = http.StatusBadRequest
	}
	reply(w, status, message(err.Error()))
}
