package world

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// Derived is the key of a leaf device that the gateway derives: what it gets when it asks
// the workload API to sign the device's id.
const Derived = "derived:" + Module

// AddLeaves makes leaf devices known, children of the edge device, and returns their ids.
// The pattern is an id or many, as in meter-[001-300]; the key is Derived, base64, or empty
// for one of their own each.
func (s *Simulator) AddLeaves(pattern, key string) []string {
	s.t.Helper()
	var answer struct {
		Devices []string `json:"devices"`
	}
	s.Must("POST", "/leaves", map[string]string{"id": pattern, "key": key}, &answer)
	return answer.Devices
}

// RekeyLeaf gives a device another key; tokens of the old one are found out when they are
// next judged.
func (s *Simulator) RekeyLeaf(device, key string) {
	s.t.Helper()
	s.Must("POST", "/identities", map[string]any{"device": device, "key": key}, nil)
}

// DisableLeaf bars a device, or lets it in again.
func (s *Simulator) DisableLeaf(device string, disabled bool) {
	s.t.Helper()
	s.Must("POST", "/identities", map[string]any{"device": device, "disabled": disabled}, nil)
}

// RemoveLeaf deletes a device.
func (s *Simulator) RemoveLeaf(device string) {
	s.t.Helper()
	s.Must("DELETE", "/identities?identity="+url.QueryEscape(device+"/"), nil, nil)
}

// ExpireLeaf treats the token of a device as expired: at once, or when it is next judged.
func (s *Simulator) ExpireLeaf(device string, now bool) {
	s.t.Helper()
	s.Must("POST", fmt.Sprintf("/tokens/expire?identity=%s&close=%t", url.QueryEscape(device+"/"), now), nil, nil)
}

// CloseLeaf closes the connection that a device is on, for all that share it, and says
// whether there was one.
func (s *Simulator) CloseLeaf(device string) bool {
	s.t.Helper()
	var answer struct {
		Dropped int `json:"dropped"`
	}
	s.Must("POST", "/connections/drop?polite=true&identity="+url.QueryEscape(device+"/"), nil, &answer)
	return answer.Dropped > 0
}

// LeafFault makes the hub misbehave towards one device: f is a fault of POST /faults, such
// as {"withhold": true} or {"attach": {}}, for so many transfers or attaches.
func (s *Simulator) LeafFault(device string, count int, f map[string]any) {
	s.t.Helper()
	fault := map[string]any{"identity": device + "/", "count": count}
	for name, value := range f {
		fault[name] = value
	}
	s.Fault(fault)
}

// LeafMessages are what leaf devices have in the cloud, by the device that sent them, in
// order.
func (s *Simulator) LeafMessages() map[string][]Message {
	s.t.Helper()
	by := map[string][]Message{}
	for _, m := range s.Messages(0) {
		if m.Module == "" {
			by[m.Device] = append(by[m.Device], m)
		}
	}
	return by
}

// WaitLeafMessages waits until each of the devices has n messages in the cloud.
func (s *Simulator) WaitLeafMessages(devices []string, n int, limit time.Duration) (by map[string][]Message) {
	s.t.Helper()
	what := fmt.Sprintf("%d messages of each of %d leaf devices in the cloud", n, len(devices))
	Eventually(s.t, limit, what, func() bool {
		by = s.LeafMessages()
		for _, device := range devices {
			if len(by[device]) < n {
				return false
			}
		}
		return true
	})
	return by
}

// LeafMethod calls a direct method of a device as the cloud does; the status is the
// device's own.
func (s *Simulator) LeafMethod(device, name string, payload any) (int, json.RawMessage) {
	s.t.Helper()
	var answer struct {
		Status  int             `json:"status"`
		Payload json.RawMessage `json:"payload"`
	}
	s.Must("POST", "/twins/"+url.PathEscape(device)+"/methods", map[string]any{
		"methodName": name, "payload": payload, "responseTimeoutInSeconds": 60, "connectTimeoutInSeconds": 30,
	}, &answer)
	return answer.Status, answer.Payload
}

// PatchLeaf changes a device's desired properties.
func (s *Simulator) PatchLeaf(device string, desired any) {
	s.t.Helper()
	s.Must("PATCH", "/twins/"+url.PathEscape(device), map[string]any{
		"properties": map[string]any{"desired": desired},
	}, nil)
}

// LeafTwin is a device's twin without its versions and times.
type LeafTwin struct{ Desired, Reported map[string]any }

// LeafTwin fetches the twin of a device.
func (s *Simulator) LeafTwin(device string) LeafTwin {
	s.t.Helper()
	var answer struct {
		Properties struct {
			Desired  map[string]any `json:"desired"`
			Reported map[string]any `json:"reported"`
		} `json:"properties"`
	}
	s.Must("GET", "/twins/"+url.PathEscape(device), nil, &answer)
	twin := LeafTwin{answer.Properties.Desired, answer.Properties.Reported}
	for _, side := range []map[string]any{twin.Desired, twin.Reported} {
		delete(side, "$version")
		delete(side, "$metadata")
	}
	return twin
}

// WaitReported waits until the reported properties of a device are as wanted.
func (s *Simulator) WaitReported(device string, limit time.Duration, what string, holds func(map[string]any) bool) {
	s.t.Helper()
	Eventually(s.t, limit, device+" reports "+what, func() bool { return holds(s.LeafTwin(device).Reported) })
}

// SendTo sends a message from the cloud to a device, its body in JSON, and returns its id,
// for WaitEnd. It waits for the device an hour, or for ttl unless that is zero.
func (s *Simulator) SendTo(device string, body any, properties map[string]string, ttl time.Duration) string {
	s.t.Helper()
	query := url.Values{}
	for name, value := range properties {
		query.Set(name, value)
	}
	if ttl > 0 {
		query.Set("$.ttl", ttl.String())
	}
	var answer struct {
		MessageID string `json:"messageId"`
	}
	path := "/devices/" + url.PathEscape(device) + "/messages/devicebound?" + query.Encode()
	s.Must("POST", path, body, &answer)
	return answer.MessageID
}

// End is what became of a message to a device: Success, Rejected, Expired,
// DeliveryCountExceeded or Purged.
type End struct {
	MessageID string `json:"messageId"`
	Device    string `json:"device"`
	Status    string `json:"status"`
}

// Ends are those of all messages to devices so far, by the message's id.
func (s *Simulator) Ends() map[string]End {
	s.t.Helper()
	var list []End
	s.Must("GET", "/feedback", nil, &list)
	by := map[string]End{}
	for _, end := range list {
		by[end.MessageID] = end
	}
	return by
}

// WaitEnd waits for what becomes of a message to a device.
func (s *Simulator) WaitEnd(id string, limit time.Duration) (status string) {
	s.t.Helper()
	Eventually(s.t, limit, "an end of message "+id, func() bool {
		status = s.Ends()[id].Status
		return status != ""
	})
	return status
}

// Rate counts events, and the most of them within one second.
type Rate struct {
	Total uint64 `json:"total"`
	Peak  uint64 `json:"peak"`
}

// IdentityStats are what one identity did since the hub started.
type IdentityStats struct {
	Attaches, Refused, Connections       uint64
	Telemetry, TwinGets, TwinPatches     uint64
	Methods, Answers                     uint64
	Completed, Abandoned, Rejected, Lost uint64
}

// HubStats are the hub's totals. Identities are by device, or device/module.
type HubStats struct {
	Admission struct {
		Attaches  Rate   `json:"attaches"`
		Connects  Rate   `json:"connects"`
		Twins     Rate   `json:"twins"`
		Throttled uint64 `json:"throttled"`
	} `json:"admission"`
	Identities map[string]IdentityStats `json:"identities"`
	// Clients are who is connected, and what they listen to.
	Clients []struct {
		Identity  string `json:"identity"`
		Connected bool   `json:"connected"`
		Desired   bool   `json:"desired"`
		Methods   bool   `json:"methods"`
		Inputs    bool   `json:"inputs"`
		C2D       bool   `json:"c2d"`
	} `json:"clients"`
}

// Stats fetches the hub's totals.
func (s *Simulator) Stats() (stats HubStats) {
	s.t.Helper()
	s.Must("GET", "/stats", nil, &stats)
	return stats
}

// RestartPeaks begins the peaks of Stats anew.
func (s *Simulator) RestartPeaks() {
	s.t.Helper()
	s.Must("DELETE", "/stats/peaks", nil, nil)
}

// Connected are the identities that are connected, by device or device/module.
func (s *Simulator) Connected() map[string]bool {
	s.t.Helper()
	by := map[string]bool{}
	for _, c := range s.Stats().Clients {
		by[c.Identity] = c.Connected
	}
	return by
}

// WaitConnected waits until all of the devices are connected.
func (s *Simulator) WaitConnected(devices []string, limit time.Duration) {
	s.t.Helper()
	missing := 0
	if !Within(limit, func() bool {
		connected := s.Connected()
		missing = 0
		for _, device := range devices {
			if !connected[device] {
				missing++
			}
		}
		return missing == 0
	}) {
		s.t.Fatalf("not within %v: %d of %d leaf devices are not connected", limit, missing, len(devices))
	}
}
