// Package lifecycle tells the cloud of the turns in the lives of devices: messages on
// the module output "events", one for each turn.
//
// [Output] sends an [Event] at once, in the lane of its device, so that it keeps its
// place among the device's messages. It never makes who tells it wait: what is over the
// rate, or finds no room on the way up, is dropped and counted by kind, and the next event
// that gets through says how many were.
package lifecycle
