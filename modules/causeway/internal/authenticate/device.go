package authenticate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	// ErrNoDevice says that the database has no device of that id.
	ErrNoDevice = errors.New("no such device")
	// ErrFull says that a table has as many entries as it may have.
	ErrFull = errors.New("table is full")
	// ErrDevice says that a device cannot be kept as it is given.
	ErrDevice = errors.New("bad device")
)

const (
	// maxListeners bounds the listeners of one device.
	maxListeners = 32
	maxName      = 128
	maxNote      = 256
)

// Device is what the database knows of a device, without its password.
type Device struct {
	// ID is the device's own id, as its codec gives it: the key.
	ID string `json:"id"`
	// Disabled devices are refused; they keep their password.
	Disabled bool `json:"disabled,omitzero"`
	// Expires is when the device is refused from, and its session closed; zero is never.
	Expires time.Time `json:"expiresAt,omitzero"`
	// Listeners are the names of those that it may come in by; none is all.
	Listeners []string `json:"listeners,omitempty"`
	// Note is for people.
	Note string `json:"note,omitempty"`
	// Protected says that it has a password. Put does not read it.
	Protected bool `json:"protected"`
}

// check says what is wrong with a device; the error wraps ErrDevice.
func (d *Device) check() error {
	switch {
	case d.ID == "" || len(d.ID) > maxDevice || !clean(d.ID):
		return fmt.Errorf("%w: the id %q is not 1 to %d bytes of printable text", ErrDevice, short(d.ID), maxDevice)
	case len(d.Listeners) > maxListeners:
		return fmt.Errorf("%w: %d listeners, at most %d are allowed", ErrDevice, len(d.Listeners), maxListeners)
	case len(d.Note) > maxNote || !clean(d.Note):
		return fmt.Errorf("%w: the note is not up to %d bytes of printable text", ErrDevice, maxNote)
	}
	for _, name := range d.Listeners {
		if name == "" || len(name) > maxName || !clean(name) {
			return fmt.Errorf("%w: %q is not the name of a listener", ErrDevice, short(name))
		}
	}
	return nil
}

// judge refuses what the record alone is enough for; "" is no refusal.
func (d *Device) judge(listener string, now time.Time) (reason string) {
	switch {
	case d.Disabled:
		return "disabled"
	case !d.Expires.IsZero() && !now.Before(d.Expires):
		return "expired"
	case len(d.Listeners) > 0 && !slices.Contains(d.Listeners, listener):
		return "not allowed on this listener"
	default:
		return ""
	}
}

// clean tells whether text is valid and has no control characters.
func clean(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Password is what a device has to show: at most one of the fields is set. The zero
// value is nothing: the id alone is known then.
type Password struct {
	// Plain is the password itself, which is hashed; Hash one that was hashed elsewhere.
	Plain, Hash string
	// Keep leaves the password as it is.
	Keep bool
}

// String implements fmt.Stringer.
func (Password) String() string { return "[password]" }

// GoString implements fmt.GoStringer.
func (Password) GoString() string { return "[password]" }

// record is a device as it is stored and exported, one JSON object.
type record struct {
	ID        string    `json:"id"`
	Hash      string    `json:"hash,omitempty"`
	Disabled  bool      `json:"disabled,omitzero"`
	Expires   time.Time `json:"expiresAt,omitzero"`
	Listeners []string  `json:"listeners,omitempty"`
	Note      string    `json:"note,omitempty"`
}

func (r *record) device() Device {
	return Device{
		ID: r.ID, Disabled: r.Disabled, Expires: r.Expires, Listeners: r.Listeners, Note: r.Note,
		Protected: r.Hash != "",
	}
}

func (d *Device) record(hash string) record {
	return record{
		ID: d.ID, Hash: hash, Disabled: d.Disabled, Expires: d.Expires, Listeners: d.Listeners, Note: d.Note,
	}
}
