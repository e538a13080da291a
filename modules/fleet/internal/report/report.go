// Package report is what a run of the fleet leaves behind: for each device what
// it sent and what it was told is safe. The checker reads it.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Report is one run.
type Report struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Devices []Device  `json:"devices"`
	// Misbehaviour counts the connections of each misbehaving mode.
	Misbehaviour map[string]Abuse `json:"misbehaviour,omitempty"`
}

// Device is one device's account. Messages are numbered from First without gaps.
type Device struct {
	// Device is the id under which its messages arrive, Kind one of "tracker",
	// "udp-tracker", "meter" and "line".
	Device string `json:"device"`
	Kind   string `json:"kind"`
	First  uint64 `json:"first"`
	// Sent counts messages, Resent how many transmissions repeated one.
	Sent   uint64 `json:"sent"`
	Resent uint64 `json:"resent"`
	// Acknowledged are the sequence numbers that the server confirmed.
	Acknowledged Ranges `json:"acknowledged"`
	// Unconfirmed is set for devices whose protocol has no acknowledgement.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Refused counts messages that the server refused for good.
	Refused uint64 `json:"refused"`
	// Commands counts those answered, Ignored those left unanswered on purpose.
	Commands uint64 `json:"commands"`
	Ignored  uint64 `json:"ignored,omitempty"`
	// Connects counts links that came up, Errors those that failed or broke.
	Connects  uint64 `json:"connects"`
	Errors    uint64 `json:"errors"`
	LastError string `json:"lastError,omitempty"`
}

// Abuse is what one misbehaving mode did.
type Abuse struct {
	// Opened connections, those of them that the server closed, and dials that
	// failed.
	Opened uint64 `json:"opened"`
	Closed uint64 `json:"closed"`
	Failed uint64 `json:"failed"`
}

// Totals adds up all devices.
func (r *Report) Totals() Device {
	var sum Device
	for i := range r.Devices {
		d := &r.Devices[i]
		sum.Sent += d.Sent
		sum.Resent += d.Resent
		sum.Refused += d.Refused
		sum.Commands += d.Commands
		sum.Ignored += d.Ignored
		sum.Connects += d.Connects
		sum.Errors += d.Errors
	}
	return sum
}

// Write writes the report as indented JSON.
func (r *Report) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Read reads a report, refusing one that contradicts itself.
func Read(r io.Reader) (*Report, error) {
	var out Report
	if err := json.NewDecoder(r).Decode(&out); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	seen := make(map[string]bool, len(out.Devices))
	for _, d := range out.Devices {
		if d.Device == "" || seen[d.Device] {
			return nil, fmt.Errorf("read report: device %q: ids must be there, and once", d.Device)
		}
		seen[d.Device] = true
		if n := len(d.Acknowledged); n > 0 {
			first, last := d.Acknowledged[0].From, d.Acknowledged[n-1].To
			if first < d.First || last-d.First >= d.Sent {
				return nil, fmt.Errorf("read report: device %q acknowledged %d to %d, but sent %d from %d",
					d.Device, first, last, d.Sent, d.First)
			}
		}
	}
	return &out, nil
}
