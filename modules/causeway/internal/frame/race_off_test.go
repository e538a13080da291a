//go:build !race

package frame

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = false
