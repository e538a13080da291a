//go:build race

package hub

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
