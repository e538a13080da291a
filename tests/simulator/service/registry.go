package service

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// identity is a device or a module in the registry's JSON. What is sent and not named here
// is ignored, so that an identity that was read can be sent back.
type identity struct {
	DeviceID       string          `json:"deviceId"`
	ModuleID       string          `json:"moduleId,omitempty"`
	Generation     string          `json:"generationId"`
	ETag           string          `json:"etag"`
	Connection     string          `json:"connectionState"`
	Status         string          `json:"status,omitempty"`
	Reason         *string         `json:"statusReason,omitempty"`
	Connected      string          `json:"connectionStateUpdatedTime"`
	StatusUpdated  string          `json:"statusUpdatedTime"`
	LastActivity   string          `json:"lastActivityTime"`
	Waiting        *int            `json:"cloudToDeviceMessageCount,omitempty"`
	Authentication *authentication `json:"authentication"`
	Capabilities   *capabilities   `json:"capabilities,omitempty"`
	Scope          string          `json:"deviceScope,omitempty"`
	Parents        []string        `json:"parentScopes,omitempty"`
	ManagedBy      string          `json:"managedBy,omitempty"`
}

type authentication struct {
	SymmetricKey struct {
		Primary   string `json:"primaryKey"`
		Secondary string `json:"secondaryKey"`
	} `json:"symmetricKey"`
	X509 struct {
		Primary   *string `json:"primaryThumbprint"`
		Secondary *string `json:"secondaryThumbprint"`
	} `json:"x509Thumbprint"`
	Type string `json:"type"`
}

type capabilities struct {
	IoTEdge bool `json:"iotEdge"`
}

// never is the service's time of what has not happened.
const never = "0001-01-01T00:00:00"

func (a *API) shown(e *edge.Entry) identity {
	out := identity{
		DeviceID: e.Device, ModuleID: e.Module, Generation: e.Generation, ETag: e.ETag,
		Connection: "Disconnected", Connected: never, StatusUpdated: never, LastActivity: never, ManagedBy: e.ManagedBy,
		Authentication: &authentication{Type: "sas"},
	}
	out.Authentication.SymmetricKey.Primary, out.Authentication.SymmetricKey.Secondary = e.Key, e.SecondaryKey
	if a.hub.Connected(e.Identity) {
		out.Connection = "Connected"
	}
	if e.Module != "" {
		return out
	}
	out.Status = "enabled"
	if e.Disabled {
		out.Status = "disabled"
	}
	if e.Reason != "" {
		out.Reason = &e.Reason
	}
	if !e.StatusChanged.IsZero() {
		out.StatusUpdated = e.StatusChanged.UTC().Format(time.RFC3339Nano)
	}
	waiting := a.hub.Waiting(e.Identity)
	out.Waiting, out.Capabilities, out.Scope = &waiting, &capabilities{e.Edge}, e.Scope
	if e.Scope != "" && !e.Edge {
		out.Parents = []string{e.Scope}
	}
	return out
}

// entry reads what a caller sends for the identity of the path.
func (in *identity) entry(id edge.Identity) (edge.Entry, error) {
	e := edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: id}, Scope: in.Scope, ManagedBy: in.ManagedBy}
	if in.DeviceID != "" && in.DeviceID != id.Device || in.ModuleID != "" && in.ModuleID != id.Module {
		return e, bad("the body names %s, the path %s", edge.Identity{Device: in.DeviceID, Module: in.ModuleID}, id)
	}
	switch in.Status {
	case "", "enabled":
	case "disabled":
		e.Disabled = true
	default:
		return e, bad("status is %q, it must be enabled or disabled", in.Status)
	}
	if in.Reason != nil {
		e.Reason = *in.Reason
	}
	if auth := in.Authentication; auth != nil {
		if auth.Type != "" && !strings.EqualFold(auth.Type, "sas") {
			return e, bad("authentication.type is %q, the simulator knows sas only", auth.Type)
		}
		e.Key, e.SecondaryKey = auth.SymmetricKey.Primary, auth.SymmetricKey.Secondary
		if (e.Key == "") != (e.SecondaryKey == "") {
			return e, bad("symmetricKey needs both keys or none")
		}
	}
	e.Edge = in.Capabilities != nil && in.Capabilities.IoTEdge
	if e.Scope == "" && len(in.Parents) == 1 {
		e.Scope = in.Parents[0]
	}
	return e, nil
}

func (a *API) getEntry(w http.ResponseWriter, r *http.Request) {
	e, err := a.hub.Entry(target(r))
	a.answer(w, &e, err)
}

// answer sends an entry with its etag, or why there is none.
func (a *API) answer(w http.ResponseWriter, e *edge.Entry, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("ETag", `"`+e.ETag+`"`)
	reply(w, http.StatusOK, a.shown(e))
}

// putEntry creates, or with If-Match updates.
func (a *API) putEntry(w http.ResponseWriter, r *http.Request) {
	var in identity
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, bad("body: %v", err))
		return
	}
	e, err := in.entry(target(r))
	if err == nil {
		if match := r.Header.Get("If-Match"); match != "" {
			e, err = a.hub.Update(e, strings.Trim(match, `"`))
		} else {
			e, err = a.hub.Register(e)
		}
	}
	a.answer(w, &e, err)
}

func (a *API) deleteEntry(w http.ResponseWriter, r *http.Request) {
	if err := a.hub.Unregister(target(r), strings.Trim(r.Header.Get("If-Match"), `"`)); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// maxListed is how many devices the service lists at most.
const maxListed = 1000

func (a *API) listDevices(w http.ResponseWriter, _ *http.Request) {
	list := []identity{}
	for _, e := range a.hub.Entries() {
		if e.Module == "" && len(list) < maxListed {
			list = append(list, a.shown(&e))
		}
	}
	reply(w, http.StatusOK, list)
}

func (a *API) listModules(w http.ResponseWriter, r *http.Request) {
	device := r.PathValue("device")
	if _, err := a.hub.Entry(edge.Identity{Device: device}); err != nil {
		fail(w, err)
		return
	}
	list := []identity{}
	for _, e := range a.hub.Entries() {
		if e.Device == device && e.Module != "" {
			list = append(list, a.shown(&e))
		}
	}
	reply(w, http.StatusOK, list)
}

func (a *API) statistics(w http.ResponseWriter, _ *http.Request) {
	var total, disabled int
	for _, e := range a.hub.Entries() {
		switch {
		case e.Module != "":
		case e.Disabled:
			disabled++
			total++
		default:
			total++
		}
	}
	reply(w, http.StatusOK, map[string]int{
		"totalDeviceCount": total, "enabledDeviceCount": total - disabled, "disabledDeviceCount": disabled,
	})
}
