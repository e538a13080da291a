//go:build !race

package layout

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = false
