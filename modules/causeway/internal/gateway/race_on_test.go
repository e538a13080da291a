//go:build race

package gateway

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
