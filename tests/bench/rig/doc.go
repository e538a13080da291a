// Package rig starts the programs of the comparison and reads what they cost: the sink, the
// gateway in question, and the kernel's figures of its process.
//
// Every gateway is a process of its own, on loopback, which takes lines and speaks AMQP over
// TLS to the sink unless its name says plain. Its memory and CPU are its own alone: what the
// devices and the sink cost is on their accounts.
package rig
