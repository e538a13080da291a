package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

// serviceRoutes are the cloud's REST API. api-version and Authorization are not looked at,
// except for module to module calls, see invoke.
func (a *API) serviceRoutes() {
	for _, path := range []string{"/twins/{device}", "/twins/{device}/modules/{module}"} {
		a.routes.HandleFunc("GET "+path, a.getTwin)
		a.routes.HandleFunc("PATCH "+path, a.patchTwin)
		a.routes.HandleFunc("PUT "+path, a.patchTwin)
		a.routes.HandleFunc("POST "+path+"/methods", a.invoke)
	}
}

func target(r *http.Request) edge.Identity {
	return edge.Identity{Device: r.PathValue("device"), Module: r.PathValue("module")}
}

// cloudError is the form of the service's errors.
func cloudError(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"Message": text, "ExceptionMessage": ""})
}

// cloudCode is the form of those errors that carry a numbered code inside their text.
func cloudCode(w http.ResponseWriter, status, code int, text string) {
	inner, err := json.Marshal(map[string]any{
		"errorCode": code, "trackingId": "", "message": text,
		"timestampUtc": time.Now().UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		inner = []byte(text)
	}
	cloudError(w, status, string(inner))
}

func failTwin(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, edge.ErrUnknownIdentity):
		cloudError(w, http.StatusNotFound, "ErrorCode:DeviceNotFound;"+err.Error())
	case errors.Is(err, edge.ErrTwinChanged):
		cloudError(w, http.StatusPreconditionFailed, "ErrorCode:PreconditionFailed;"+err.Error())
	case errors.Is(err, edge.ErrInvalidTwin), errors.As(err, new(*badRequest)):
		cloudError(w, http.StatusBadRequest, "ErrorCode:ArgumentInvalid;"+err.Error())
	default:
		cloudError(w, http.StatusInternalServerError, "ErrorCode:ServerError;"+err.Error())
	}
}

func (a *API) getTwin(w http.ResponseWriter, r *http.Request) {
	t, err := a.hub.ServiceTwin(r.Context(), target(r))
	if err != nil {
		failTwin(w, err)
		return
	}
	w.Header().Set("ETag", `"`+t.ETag+`"`)
	reply(w, http.StatusOK, t)
}

// patchTwin merges with PATCH and replaces with PUT.
func (a *API) patchTwin(w http.ResponseWriter, r *http.Request) {
	patch, err := readPatch(r)
	if err != nil {
		failTwin(w, err)
		return
	}
	patch.Replace = r.Method == http.MethodPut
	patch.ETag = strings.Trim(r.Header.Get("If-Match"), `"`)
	t, err := a.hub.PatchTwin(r.Context(), target(r), patch)
	if err != nil {
		failTwin(w, err)
		return
	}
	w.Header().Set("ETag", `"`+t.ETag+`"`)
	reply(w, http.StatusOK, t)
}

// readPatch takes {"tags":..,"properties":{"desired":..}}; what a service twin holds
// besides is ignored, as the service does, so that a whole twin can be sent back.
func readPatch(r *http.Request) (edge.TwinPatch, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return edge.TwinPatch{}, bad("body: %v", err)
	}
	doc, err := twin.Decode(body)
	if err != nil {
		return edge.TwinPatch{}, bad("body: %v", err)
	}
	var patch edge.TwinPatch
	if patch.Tags, err = object(doc, "tags"); err != nil {
		return edge.TwinPatch{}, err
	}
	properties, err := object(doc, "properties")
	if err != nil {
		return edge.TwinPatch{}, err
	}
	if patch.Desired, err = object(properties, "desired"); err != nil {
		return edge.TwinPatch{}, err
	}
	delete(patch.Desired, "$version")
	delete(patch.Desired, "$metadata")
	return patch, nil
}

func object(doc map[string]any, name string) (map[string]any, error) {
	value, ok := doc[name]
	if !ok {
		return nil, nil
	}
	inner, ok := value.(map[string]any)
	if !ok {
		return nil, bad("%s must be an object", name)
	}
	return inner, nil
}

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
	fail := failCloudMethod
	if caller := r.Header.Get("X-Ms-Edge-Moduleid"); caller != "" {
		fail = failEdgeMethod
		if err := a.authorize(caller, r.Header.Get("Authorization")); err != nil {
			fail(w, err)
			return
		}
	} else if a.hub.CloudCut() {
		fail(w, edge.ErrNotConnected)
		return
	}
	request, err := readMethod(r)
	if err != nil {
		fail(w, err)
		return
	}
	result, err := a.hub.Invoke(r.Context(), target(r), request)
	if err != nil {
		fail(w, err)
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
	case errors.Is(err, edge.ErrUnknownIdentity):
		cloudError(w, http.StatusNotFound, "ErrorCode:DeviceNotFound;"+err.Error())
	case errors.Is(err, edge.ErrNotConnected):
		cloudCode(w, http.StatusNotFound, 404103, "Timed out waiting for device to connect.")
	case errors.Is(err, edge.ErrMethodTimeout):
		cloudCode(w, http.StatusGatewayTimeout, 504101, "Timed out waiting for the response from device.")
	case errors.Is(err, edge.ErrTooManyCalls):
		cloudError(w, http.StatusTooManyRequests, "ErrorCode:ThrottlingException;"+err.Error())
	case errors.Is(err, edge.ErrInvalidMethod):
		cloudError(w, http.StatusBadRequest, "ErrorCode:ArgumentInvalid;"+err.Error())
	default:
		cloudError(w, http.StatusInternalServerError, "ErrorCode:ServerError;"+err.Error())
	}
}

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
