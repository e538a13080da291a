//go:build !race

package wasm

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = false
