package service

import (
	"io"
	"net/http"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

func target(r *http.Request) edge.Identity {
	return edge.Identity{Device: r.PathValue("device"), Module: r.PathValue("module")}
}

func (a *API) getTwin(w http.ResponseWriter, r *http.Request) {
	t, err := a.hub.ServiceTwin(r.Context(), target(r))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("ETag", `"`+t.ETag+`"`)
	reply(w, http.StatusOK, t)
}

// patchTwin merges with PATCH and replaces with PUT.
func (a *API) patchTwin(w http.ResponseWriter, r *http.Request) {
	patch, err := readPatch(r)
	if err != nil {
		fail(w, err)
		return
	}
	patch.Replace = r.Method == http.MethodPut
	patch.ETag = strings.Trim(r.Header.Get("If-Match"), `"`)
	t, err := a.hub.PatchTwin(r.Context(), target(r), patch)
	if err != nil {
		fail(w, err)
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
