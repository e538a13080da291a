package command

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// fakeDoor knows device d; whatever is done with "full" fails, and with "closed" for now.
type fakeDoor struct{}

func fakeDoors() Doors { return Doors{Bans: fakeDoor{}, Quarantine: fakeDoor{}, Registry: fakeDoor{}} }

func failing(device string) error {
	switch device {
	case "full":
		return errors.New("full")
	case "closed":
		return ErrUnavailable
	default:
		return nil
	}
}

func (fakeDoor) ListBans(skip, limit int) (any, error) { return []any{skip, limit}, nil }
func (fakeDoor) Ban(b Ban) (int, error)                { return 1, failing(b.Device) }
func (fakeDoor) Unban(b Ban) (bool, error)             { return b.Device == "d", failing(b.Device) }

func (fakeDoor) ListQuarantine(after string, limit int) any { return []any{after, limit} }

func (fakeDoor) AdmitDevice(device string, _ time.Duration) (bool, error) {
	return device == "d", failing(device)
}

func (fakeDoor) RejectDevice(device string, _ time.Duration) (bool, error) {
	return device == "d", failing(device)
}

func (fakeDoor) PutDevice(_ context.Context, d RegistryDevice) error { return failing(d.ID) }

func (fakeDoor) RemoveDevice(device string) error {
	if device == "e" {
		return ErrUnknownDevice
	}
	return nil
}

func (fakeDoor) Registered(after string, limit int, hashes bool) (any, error) {
	return []any{after, limit, hashes}, failing(after)
}

func (fakeDoor) ImportDevices(list []json.RawMessage) (added, replaced int, err error) {
	if strings.Contains(string(list[0]), "full") {
		return 0, 0, failing("full")
	}
	return len(list), 0, nil
}

func TestAPasswordIsNotEchoed(t *testing.T) {
	m := NewMethods(newField(t).Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{}, fakeGateway{}, fakeDoors())
	for _, payload := range []string{
		`{"deviceId":"d","password":"4711081500"}`, `{"deviceId":"full","password":"4711081500"}`,
		`{"deviceId":"d","password":4711081500}`, `{"deviceId":"d","password":["4711081500"]}`,
		`{"deviceId":"d","hash":4711081500}`,
	} {
		if a := m.Call(t.Context(), "putDevice", json.RawMessage(payload)); strings.Contains(string(a.Payload), "4711081500") {
			t.Errorf("%s is answered with %s", payload, a.Payload)
		}
	}
}
