package config

import "encoding/json"

// Identity is how devices get identities of their own in IoT Hub; it has an effect on
// listeners whose Identity is "device".
type Identity struct {
	// Map is a JSON object for package identity in canonical form, or empty.
	Map json.RawMessage `json:"map,omitempty"`
	// Keys are JSON objects for package identity in canonical form, with at least "kind".
	Keys map[string]json.RawMessage `json:"keys"`
	// Devices, ShardSize and the rest are counts, rates and seconds as their names say,
	// all positive.
	Devices               int `json:"devices"`
	ShardSize             int `json:"shardSize"`
	AttachesPerSecond     int `json:"attachesPerSecond"`
	TwinRequestsPerSecond int `json:"twinRequestsPerSecond"`
	IdleSeconds           int `json:"idleSeconds"`
}
