//go:build race

package mqtthead

const raceDetector = true
