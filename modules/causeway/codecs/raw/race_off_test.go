//go:build !race

package raw

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = false
