//go:build !race

package amqphead

const raceDetector = false
