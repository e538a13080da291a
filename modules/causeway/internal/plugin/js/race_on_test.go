//go:build race

package js

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = true
