// Package chaos breaks the product on purpose and judges what is left: real
// processes, hundreds of devices, a seeded schedule of faults, and a verdict on the
// one promise, that a device is acknowledged only when its data is safe.
//
//	make chaos                      about ten minutes, another seed each time
//	CHAOS_SEED=7 make chaos         the schedule of seed 7 again
//	make chaos UPSTREAM=MqttWs      with a gateway that speaks MQTT over WebSocket
//	go test ./tests/chaos           the cut of it that is part of make test
//
// The seed decides faults, their order and their length; what a process does at
// that moment is up to it, so a seed repeats the schedule, not every byte.
package chaos
