//go:build race

package codectest

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
