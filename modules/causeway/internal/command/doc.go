// Package command is the way down: a direct method, or a message for the input
// "commands", becomes a command for a device's session, and the device's own
// answer becomes the method's answer.
//
// [Service] holds the commands that wait for a sleeping device; [Methods] is the
// table of direct methods. What they need of sessions they declare themselves
// ([Device]), so that a test needs no socket.
package command
