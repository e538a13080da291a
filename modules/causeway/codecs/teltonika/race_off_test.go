//go:build !race

package teltonika

// raceEnabled: the race detector allocates by itself, so counts mean nothing.
const raceEnabled = false
