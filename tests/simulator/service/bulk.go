package service

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxBulk is how many devices one request may change.
const maxBulk = 100

// change is one device of a bulk, with what to do to it.
type change struct {
	identity
	ID   string `json:"id"`
	ETag string `json:"eTag"`
	Mode string `json:"importMode"`
}

// bulkError is a device of a bulk that was left as it is.
type bulkError struct {
	DeviceID string `json:"deviceId"`
	Code     int    `json:"errorCode"`
	Status   string `json:"errorStatus"`
}

// bulk changes devices one after the other; those that cannot be changed do not keep the
// others from it, and make the whole answer a 400.
func (a *API) bulk(w http.ResponseWriter, r *http.Request) {
	var changes []change
	if err := json.NewDecoder(r.Body).Decode(&changes); err != nil {
		fail(w, bad("body: %v", err))
		return
	}
	if len(changes) == 0 || len(changes) > maxBulk {
		fail(w, bad("%d devices, 1 to %d are allowed", len(changes), maxBulk))
		return
	}
	failed := []bulkError{}
	for i := range changes {
		if err := a.apply(&changes[i]); err != nil {
			failed = append(failed, bulkError{changes[i].ID, bulkCode(err), err.Error()})
		}
	}
	status := http.StatusOK
	if len(failed) > 0 {
		status = http.StatusBadRequest
	}
	reply(w, status, map[string]any{"isSuccessful": len(failed) == 0, "errors": failed, "warnings": []string{}})
}

func (a *API) apply(c *change) error {
	e, err := c.entry(edge.Identity{Device: c.ID})
	if err != nil {
		return err
	}
	etag := c.ETag
	if etag == "" {
		etag = c.identity.ETag // as it was read
	}
	switch c.Mode {
	case "create":
		_, err = a.hub.Register(e)
	case "Update", "update":
		_, err = a.hub.Update(e, "*")
	case "UpdateIfMatchETag", "updateIfMatchETag":
		_, err = a.hub.Update(e, etag)
	case "Delete", "delete":
		err = a.hub.Unregister(e.Identity, "*")
	case "DeleteIfMatchETag", "deleteIfMatchETag":
		err = a.hub.Unregister(e.Identity, etag)
	default:
		err = bad("importMode %q is not known", c.Mode)
	}
	return err
}

func bulkCode(err error) int {
	switch {
	case errors.Is(err, edge.ErrIdentityExists):
		return 409001
	case errors.Is(err, edge.ErrUnknownIdentity):
		return 404001
	case errors.Is(err, edge.ErrTwinChanged):
		return 412002
	}
	return 400004
}
