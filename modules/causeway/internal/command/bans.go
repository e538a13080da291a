package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	bansDefault = 100
	bansMost    = 300 // with the longest ids and reasons, within a method's 128 KiB
	// longestSeconds bounds what is said of a time to come: a hundred years, as good as
	// for ever, and within what a time.Duration can hold.
	longestSeconds = 100 * 366 * 24 * 3600
)

// Bans are devices and addresses that may not come in.
type Bans interface {
	// ListBans is a page of the bans, JSON-encodable: those after so many.
	ListBans(skip, limit int) (any, error)
	// Ban keeps a device or addresses out, and closes their links.
	Ban(b Ban) (closed int, err error)
	// Unban lifts a ban, and forgets failed logins; false where there was nothing.
	Unban(b Ban) (bool, error)
}

// Ban names a device or a range of addresses.
type Ban struct {
	Device    string
	Addresses netip.Prefix
	Reason    string
	// Lasts is zero for ever.
	Lasts time.Duration
}

func (m *Methods) listBans(_ context.Context, payload json.RawMessage) Answer {
	in := struct {
		Skip  int `json:"skip"`
		Limit int `json:"limit"`
	}{Limit: bansDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.Limit < 1 || in.Limit > bansMost || in.Skip < 0 {
		return refuse(StatusBadRequest, fmt.Sprintf(
			"limit is %d, allowed are 1 to %d; skip is %d, and not negative", in.Limit, bansMost, in.Skip))
	}
	page, err := m.doors.Bans.ListBans(in.Skip, in.Limit)
	if err != nil {
		return refuse(StatusUnavailable, err.Error())
	}
	return success(StatusOK, page)
}

// banFields are the payload of ban and unban.
type banFields struct {
	DeviceID  string `json:"deviceId"`
	Addresses string `json:"addresses"`
	Reason    string `json:"reason"`
	Seconds   int    `json:"seconds"`
}

func (f *banFields) ban() (b Ban, err error) {
	b = Ban{Device: f.DeviceID, Reason: f.Reason, Lasts: time.Duration(f.Seconds) * time.Second}
	switch {
	case (f.DeviceID == "") == (f.Addresses == ""):
		return b, errors.New("give exactly one of deviceId and addresses")
	case f.Seconds < 0 || f.Seconds > longestSeconds:
		return b, fmt.Errorf("seconds is %d, allowed are 0 (for ever) to %d", f.Seconds, longestSeconds)
	case f.Addresses == "":
		return b, nil
	}
	if b.Addresses, err = netip.ParsePrefix(f.Addresses); err == nil {
		return b, nil
	}
	addr, err := netip.ParseAddr(f.Addresses)
	if err != nil || addr.Zone() != "" {
		return b, fmt.Errorf("addresses is %q, must be an address range in CIDR form, as 10.0.0.0/8", f.Addresses)
	}
	b.Addresses = netip.PrefixFrom(addr, addr.BitLen())
	return b, nil
}

func (m *Methods) ban(_ context.Context, payload json.RawMessage) Answer {
	var in banFields
	err := fields(payload, &in)
	var b Ban
	if err == nil {
		b, err = in.ban()
	}
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	closed, err := m.doors.Bans.Ban(b)
	if err != nil {
		return refuse(StatusRefused, err.Error())
	}
	return success(StatusOK, map[string]any{"banned": true, "closed": closed})
}

func (m *Methods) unban(_ context.Context, payload json.RawMessage) Answer {
	var in banFields
	err := fields(payload, &in)
	var b Ban
	if err == nil {
		b, err = in.ban()
	}
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	lifted, err := m.doors.Bans.Unban(b)
	switch {
	case err != nil:
		return refuse(StatusRefused, err.Error())
	case !lifted:
		return refuse(StatusNotFound, "no such ban of a method; one of the twin is lifted there")
	}
	return success(StatusOK, map[string]any{"lifted": true})
}
