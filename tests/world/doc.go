// Package world is what tests of the whole product are made of: the programs,
// built once, the gateway, the simulator and the fleet as processes, and how to
// wait for them. It knows no more of the product than its command lines, its
// environment and what can be asked over sockets.
package world
