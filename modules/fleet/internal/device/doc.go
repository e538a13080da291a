// Package device simulates devices that keep what they measured until a server
// confirms it: Teltonika trackers over TCP and UDP, meters that send JSON over
// UDP, and devices that write CSV lines over TCP.
//
// The messages of a device are numbered without gaps. Message n is a pure function
// of the device and n, so a device needs no memory for what it may have to send
// again, and a checker can tell an invented message from a real one.
package device
