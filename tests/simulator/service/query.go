package service

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// selectAll is the form that is simulated: all twins of devices or of modules, of one device
// or one module if a condition says so.
var selectAll = regexp.MustCompile(
	`(?i)^\s*SELECT\s+\*\s+FROM\s+(devices|devices\.modules)\s*` +
		`(?:WHERE\s+(deviceId|moduleId)\s*=\s*(?:'([^']*)'|"([^"]*)")\s*)?$`)

// maxPage is the service's bound for a page of twins.
const maxPage = 100

const (
	continuationHeader = "X-Ms-Continuation"
	pageHeader         = "X-Ms-Max-Item-Count"
)

// query answers a page of twins; the continuation is the place of the next one.
func (a *API) query(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query string `json:"query"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, bad("body: %v", err))
		return
	}
	ids, err := a.selected(in.Query)
	if err != nil {
		fail(w, err)
		return
	}
	start, size, err := page(r, len(ids))
	if err != nil {
		fail(w, err)
		return
	}
	end := min(start+size, len(ids))
	list := []edge.ServiceTwin{}
	for _, id := range ids[start:end] {
		// An identity that was removed meanwhile is left out.
		if t, err := a.hub.ServiceTwin(r.Context(), id); err == nil {
			list = append(list, t)
		}
	}
	if end < len(ids) {
		w.Header().Set(continuationHeader, strconv.Itoa(end))
	}
	w.Header().Set("X-Ms-Item-Type", "twin")
	reply(w, http.StatusOK, list)
}

func (a *API) selected(text string) ([]edge.Identity, error) {
	found := selectAll.FindStringSubmatch(text)
	if found == nil {
		return nil, bad("query %.200q: the simulator knows SELECT * FROM devices or devices.modules, "+
			"with WHERE deviceId = '...' or moduleId = '...'", text)
	}
	modules := len(found[1]) > len("devices")
	wanted := found[3] + found[4]
	var ids []edge.Identity
	for _, e := range a.hub.Entries() {
		value := e.Device
		if found[2] != "" && (found[2][0]|' ') == 'm' {
			value = e.Module
		}
		if (e.Module != "") == modules && (found[2] == "" || value == wanted) {
			ids = append(ids, e.Identity)
		}
	}
	return ids, nil
}

// page reads where a page starts and how long it may be.
func page(r *http.Request, total int) (start, size int, err error) {
	size = maxPage
	if text := r.Header.Get(pageHeader); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 {
			return 0, 0, bad("%s is %q, it must be a number above 0", pageHeader, text)
		}
		size = min(size, maxPage)
	}
	if text := r.Header.Get(continuationHeader); text != "" {
		if start, err = strconv.Atoi(text); err != nil || start < 0 || start > total {
			return 0, 0, bad("%s is %q, it must come from an earlier answer", continuationHeader, text)
		}
	}
	return start, size, nil
}
