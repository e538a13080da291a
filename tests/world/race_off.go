//go:build !race

package world

// RaceDetector says whether tests and programs run with the race detector.
const RaceDetector = false
