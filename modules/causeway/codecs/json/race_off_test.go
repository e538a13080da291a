//go:build !race

package jsoncodec

// raceEnabled: the race detector allocates on its own account.
const raceEnabled = false
