package config

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Authentication is one of those who judge devices; its name is the key in the document.
type Authentication struct {
	// Kind is one that package authenticate has.
	Kind  string `json:"kind"`
	Order int    `json:"order"`
	// Listeners are the names that it is for where they are true; empty is all.
	Listeners map[string]bool `json:"listeners"`
	// Settings is a JSON object in canonical form, or empty. It may hold secrets.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// Judges tells whether it is for a listener.
func (a Authentication) Judges(listener string) bool {
	return len(a.Listeners) == 0 || a.Listeners[listener]
}

// Ban keeps a device or a range of addresses out; exactly one of them is set.
type Ban struct {
	Device    string  `json:"device,omitempty"`
	Addresses *Prefix `json:"addresses,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	// Until is zero for ever.
	Until time.Time `json:"until,omitzero"`
}

// Quarantine bounds what is kept of devices that nobody knows.
type Quarantine struct {
	Devices int `json:"devices"`
	Frames  int `json:"frames"`
	Bytes   int `json:"bytes"`
}

// AuthenticationOf returns the names of those who judge the devices of a listener, in
// the order in which they are asked.
func (d *Document) AuthenticationOf(listener string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.Authentication)) {
		if d.Authentication[name].Judges(listener) {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(d.Authentication[a].Order, d.Authentication[b].Order)
	})
	return names
}

// banFaults judges the texts of a ban that decode into types of their own.
func banFaults(tree map[string]any) []Fault {
	var faults []Fault
	for name, ban := range member2(tree, "bans") {
		if text, ok := ban["addresses"].(string); ok {
			if err := new(Prefix).UnmarshalText([]byte(text)); err != nil {
				faults = append(faults, Fault{Pointer("bans", name, "addresses"), err.Error()})
			}
		}
		if text, ok := ban["until"].(string); ok {
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				faults = append(faults, Fault{
					Pointer("bans", name, "until"),
					"is \"" + short(text) + "\", must be a time as 2027-01-31T12:00:00Z",
				})
			}
		}
	}
	return faults
}

// admissionFaults judges what is said of who may come in.
func (d *Document) admissionFaults() []Fault {
	var faults []Fault
	for name, a := range d.Authentication {
		for listener := range a.Listeners {
			if _, ok := d.Listeners[listener]; !ok {
				faults = append(faults, Fault{
					Pointer("authentication", name, "listeners", listener), "is not the name of a listener",
				})
			}
		}
	}
	for name, b := range d.Bans {
		if (b.Device == "") == (b.Addresses == nil) {
			faults = append(faults, Fault{Pointer("bans", name), "must have exactly one of device and addresses"})
		}
	}
	for name, l := range d.Listeners {
		if l.UnknownDevices == "register" && len(d.Registration) == 0 {
			faults = append(faults, Fault{
				Pointer("listeners", name, "unknownDevices"), "is register, so registration must be there",
			})
		}
	}
	return faults
}
