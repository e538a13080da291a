//go:build race

package transform

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
