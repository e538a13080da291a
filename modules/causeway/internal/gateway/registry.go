package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

// registryBytes ends a page of devices: an answer of a method has 128 KiB.
const registryBytes = 96 << 10

// registryPage is a page of the database; Next is the id to go on after, absent at the end.
type registryPage struct {
	Devices []json.RawMessage `json:"devices"`
	Total   int               `json:"total"`
	Next    string            `json:"next,omitempty"`
}

// PutDevice implements command.Registry. A device that is disabled loses its link.
func (d *doors) PutDevice(ctx context.Context, in command.RegistryDevice) error {
	err := d.database.Put(ctx, authenticate.Device{
		ID: in.ID, Disabled: in.Disabled, Expires: in.Expires, Listeners: in.Listeners, Note: in.Note,
	}, authenticate.Password{Plain: in.Password, Hash: in.Hash, Keep: in.Keep})
	if err != nil {
		return sortedRegistry(err)
	}
	if in.Disabled {
		d.g.table.Banish(in.ID, "disabled")
	}
	return nil
}

// sortedRegistry gives the errors of the database their names in package command.
func sortedRegistry(err error) error {
	switch {
	case errors.Is(err, authenticate.ErrNoDevice):
		return fmt.Errorf("%w: %w", command.ErrUnknownDevice, err)
	case errors.Is(err, state.ErrUnavailable), errors.Is(err, authenticate.ErrBusy):
		return fmt.Errorf("%w: %w", command.ErrUnavailable, err)
	default:
		return err
	}
}

// RemoveDevice implements command.Registry.
func (d *doors) RemoveDevice(device string) error {
	if err := d.database.Remove(device); err != nil {
		return sortedRegistry(err)
	}
	d.g.table.Banish(device, "removed")
	return nil
}

// Registered implements command.Registry.
func (d *doors) Registered(after string, limit int, hashes bool) (any, error) {
	total, err := d.database.Count()
	if err != nil {
		return nil, sortedRegistry(err)
	}
	list, err := d.database.List(after, limit+1)
	if err != nil {
		return nil, sortedRegistry(err)
	}
	page := registryPage{Devices: []json.RawMessage{}, Total: total}
	size := 0
	for i := range list {
		if len(page.Devices) == limit || size > registryBytes {
			page.Next = list[i-1].ID
			break
		}
		line, err := d.line(list[i], hashes)
		if errors.Is(err, authenticate.ErrNoDevice) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		size += len(line)
		page.Devices = append(page.Devices, line)
	}
	return page, nil
}

// line is one device of a page.
func (d *doors) line(device authenticate.Device, hashes bool) (json.RawMessage, error) {
	if !hashes {
		return json.Marshal(device)
	}
	return d.database.ExportDevice(device.ID)
}

// ImportDevices implements command.Registry.
func (d *doors) ImportDevices(list []json.RawMessage) (added, replaced int, err error) {
	var lines bytes.Buffer
	for _, device := range list {
		if err := json.Compact(&lines, device); err != nil {
			return 0, 0, errors.New("import devices: not JSON")
		}
		lines.WriteByte('\n')
	}
	done, err := d.database.Import(&lines)
	if err != nil {
		return 0, 0, sortedRegistry(err)
	}
	return done.Added, done.Replaced, nil
}
