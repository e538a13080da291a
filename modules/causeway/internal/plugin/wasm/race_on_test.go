//go:build race

package wasm

// raceEnabled: with the race detector modules are compiled by a process without it.
const raceEnabled = true
