package command

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	quarantineDefault = 20
	quarantineMost    = 200 // a page ends earlier where the frames fill the answer
	// admittedFor is how long a device that was admitted may come back, unless the caller
	// says: long enough to make it known for good.
	admittedFor = 24 * 3600
)

// Quarantine is the devices that nobody knows, and that stay connected until somebody
// decides.
type Quarantine interface {
	// ListQuarantine is a page of them, after an id, JSON-encodable.
	ListQuarantine(after string, limit int) any
	// AdmitDevice lets a device in, on its link too where it has one, and for so long.
	AdmitDevice(device string, lasts time.Duration) (connected bool, err error)
	// RejectDevice refuses a device, closes its link, takes an earlier admission back and
	// bans it for so long, where that is not zero. False where there was nothing to do.
	RejectDevice(device string, banned time.Duration) (bool, error)
}

func (m *Methods) listQuarantine(_ context.Context, payload json.RawMessage) Answer {
	in := struct {
		After string `json:"after"`
		Limit int    `json:"limit"`
	}{Limit: quarantineDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.Limit < 1 || in.Limit > quarantineMost {
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, quarantineMost))
	}
	return success(StatusOK, m.doors.Quarantine.ListQuarantine(in.After, in.Limit))
}

// deviceSeconds decodes a device and a time, which is the given one unless the caller
// says.
func deviceSeconds(payload json.RawMessage, seconds, least int) (string, time.Duration, error) {
	in := struct {
		DeviceID string `json:"deviceId"`
		Seconds  int    `json:"seconds"`
	}{Seconds: seconds}
	if err := fields(payload, &in); err != nil {
		return "", 0, err
	}
	if in.DeviceID == "" {
		return "", 0, errMissing
	}
	if in.Seconds < least || in.Seconds > longestSeconds {
		return "", 0, fmt.Errorf("seconds is %d, allowed are %d to %d", in.Seconds, least, longestSeconds)
	}
	return in.DeviceID, time.Duration(in.Seconds) * time.Second, nil
}

func (m *Methods) admitDevice(_ context.Context, payload json.RawMessage) Answer {
	device, lasts, err := deviceSeconds(payload, admittedFor, 1)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	connected, err := m.doors.Quarantine.AdmitDevice(device, lasts)
	if err != nil {
		return refuse(StatusRefused, err.Error())
	}
	return success(StatusOK, map[string]any{"admitted": true, "connected": connected})
}

func (m *Methods) rejectDevice(_ context.Context, payload json.RawMessage) Answer {
	device, banned, err := deviceSeconds(payload, 0, 0)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	rejected, err := m.doors.Quarantine.RejectDevice(device, banned)
	switch {
	case err != nil:
		return refuse(StatusRefused, err.Error())
	case !rejected:
		return refuse(StatusNotFound, fmt.Sprintf("device %q is not in quarantine, and was not admitted", device))
	}
	return success(StatusOK, map[string]any{"rejected": true})
}
