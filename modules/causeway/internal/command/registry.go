package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	registryDefault = 100
	registryMost    = 500 // a page ends earlier where it fills the answer
)

// Errors of a Registry.
var (
	// ErrUnknownDevice says that the registry has no such device.
	ErrUnknownDevice = errors.New("no such device")
	// ErrUnavailable says that the registry cannot be used at the moment.
	ErrUnavailable = errors.New("not available")
)

// Registry is the gateway's own list of devices and their passwords.
type Registry interface {
	// PutDevice adds a device or replaces it.
	PutDevice(ctx context.Context, d RegistryDevice) error
	// RemoveDevice forgets a device and closes its link; the error may be ErrUnknownDevice.
	RemoveDevice(device string) error
	// Registered is a page after an id, JSON-encodable; with hashes it can be imported.
	Registered(after string, limit int, hashes bool) (any, error)
	// ImportDevices takes devices as Registered with hashes gives them, all or none.
	ImportDevices(list []json.RawMessage) (added, replaced int, err error)
}

// RegistryDevice is a device and what it has to show.
type RegistryDevice struct {
	ID string
	// Password is hashed, Hash was hashed elsewhere: at most one. Keep leaves what is
	// there. None of them means that the id alone is enough.
	Password, Hash string
	Keep           bool
	Disabled       bool
	Expires        time.Time // zero is never
	Listeners      []string  // none is all
	Note           string
}

// hidden is text that no fault may show.
type hidden string

// UnmarshalJSON implements json.Unmarshaler; the usual fault would show a number.
func (h *hidden) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, (*string)(h)) != nil {
		return errors.New("want a string")
	}
	return nil
}

func (m *Methods) putDevice(ctx context.Context, payload json.RawMessage) Answer {
	var in struct {
		DeviceID     string     `json:"deviceId"`
		Password     hidden     `json:"password"`
		Hash         hidden     `json:"hash"`
		KeepPassword bool       `json:"keepPassword"`
		Disabled     bool       `json:"disabled"`
		ExpiresAt    *time.Time `json:"expiresAt"`
		Listeners    []string   `json:"listeners"`
		Note         string     `json:"note"`
	}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.DeviceID == "" {
		return refuse(StatusBadRequest, errMissing.Error())
	}
	d := RegistryDevice{
		ID: in.DeviceID, Password: string(in.Password), Hash: string(in.Hash), Keep: in.KeepPassword,
		Disabled: in.Disabled, Listeners: in.Listeners, Note: in.Note,
	}
	if in.ExpiresAt != nil {
		d.Expires = *in.ExpiresAt
	}
	if err := m.doors.Registry.PutDevice(ctx, d); err != nil {
		return registryRefusal(err)
	}
	return success(StatusOK, map[string]any{"stored": true})
}

// registryRefusal sorts the errors of a registry.
func registryRefusal(err error) Answer {
	switch {
	case errors.Is(err, ErrUnknownDevice):
		return refuse(StatusNotFound, err.Error())
	case errors.Is(err, ErrUnavailable):
		return refuse(StatusUnavailable, err.Error())
	default:
		return refuse(StatusRefused, err.Error())
	}
}

func (m *Methods) removeDevice(_ context.Context, payload json.RawMessage) Answer {
	id, err := parseDevice(payload)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if err := m.doors.Registry.RemoveDevice(id); err != nil {
		return registryRefusal(err)
	}
	return success(StatusOK, map[string]any{"removed": true})
}

func (m *Methods) listAuthDevices(_ context.Context, payload json.RawMessage) Answer {
	return m.registered(payload, false)
}

func (m *Methods) exportDevices(_ context.Context, payload json.RawMessage) Answer {
	return m.registered(payload, true)
}

func (m *Methods) registered(payload json.RawMessage, hashes bool) Answer {
	in := struct {
		After string `json:"after"`
		Limit int    `json:"limit"`
	}{Limit: registryDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.Limit < 1 || in.Limit > registryMost {
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, registryMost))
	}
	page, err := m.doors.Registry.Registered(in.After, in.Limit, hashes)
	if err != nil {
		return registryRefusal(err)
	}
	return success(StatusOK, page)
}

func (m *Methods) importDevices(_ context.Context, payload json.RawMessage) Answer {
	var in struct {
		Devices []json.RawMessage `json:"devices"`
	}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if len(in.Devices) == 0 {
		return refuse(StatusBadRequest, "devices is missing")
	}
	added, replaced, err := m.doors.Registry.ImportDevices(in.Devices)
	if err != nil {
		return registryRefusal(err)
	}
	return success(StatusOK, map[string]any{"added": added, "replaced": replaced})
}
