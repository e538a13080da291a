package control

import (
	"errors"
	"net/http"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// identityEntry is an identity as the API shows it: without its key.
type identityEntry struct {
	Device     string `json:"device"`
	Module     string `json:"module,omitempty"`
	Generation string `json:"generation"`
	Connected  bool   `json:"connected"`
}

func (a *API) identities(*http.Request) (any, error) {
	list := []identityEntry{}
	for _, k := range a.hub.Identities() {
		list = append(list, identityEntry{k.Device, k.Module, k.Generation, a.hub.Connected(k.Identity)})
	}
	return list, nil
}

func (a *API) addIdentity(r *http.Request) (any, error) {
	var request struct {
		Device string `json:"device"`
		Module string `json:"module"`
		Key    string `json:"key"`
		// Disabled bars it from connecting, or lets it in again; absent changes nothing.
		Disabled *bool `json:"disabled"`
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	if request.Device == "" {
		request.Device = a.hub.Device()
	}
	id := edge.Identity{Device: request.Device, Module: request.Module}
	if module, derived := strings.CutPrefix(request.Key, edge.DerivedKey); derived {
		key, err := a.hub.DeriveKey(module, request.Device)
		if err != nil {
			return nil, err
		}
		request.Key = key
	}
	if err := a.hub.AddIdentity(id, request.Key); err != nil {
		return nil, bad("%v", err)
	}
	if request.Disabled != nil {
		if err := a.hub.SetDisabled(id, *request.Disabled); err != nil {
			return nil, err
		}
	}
	k, err := a.hub.Known(id)
	return map[string]string{"device": k.Device, "module": k.Module, "key": k.Key}, err
}

func (a *API) removeIdentity(r *http.Request) (any, error) {
	id, err := a.identity(r.URL.Query().Get("identity"))
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, bad("identity is missing")
	}
	err = a.hub.Unregister(*id, "*")
	if errors.Is(err, edge.ErrProtectedIdentity) {
		err = bad("%v", err)
	}
	return map[string]bool{"removed": true}, err
}

// addLeaves makes many leaf devices known at once.
func (a *API) addLeaves(r *http.Request) (any, error) {
	var request struct {
		// ID is an id or many, as in meter-[001-300]; Key is one for all, derived:<module>,
		// or empty.
		ID  string `json:"id"`
		Key string `json:"key"`
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	ids, err := a.hub.AddLeaves(request.ID, request.Key)
	if err != nil && !errors.Is(err, edge.ErrUnknownIdentity) {
		err = bad("%v", err)
	}
	return map[string][]string{"devices": ids}, err
}
