//go:build race

package csvcodec

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
