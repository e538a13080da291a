// Package exproto lets a handler that was written for EMQX's ExProto gateway decode
// the devices of a listener, without a change to it.
//
// The handler serves ConnectionUnaryHandler, and this package calls it for what
// happens on a link; it acts on the link by calling ConnectionAdapter, which this
// package serves. The handler finds both where it found EMQX's.
//
// # Turns
//
// A call of the handler is a turn: what it asks for while the call lasts is the
// outcome of the frame. What it asks for later is delivered with the next frame, or
// at the next tick, a second later at most. So a handler should act before it
// returns; those that do are as quick as any codec in another process.
//
// # Acknowledgement
//
// EMQX's handlers know of no moment at which a message is safe. So bytes for the
// device are held until every message that was published before them, or in the same
// turn, is safe, and keep their order; a device that frees its memory on an answer
// loses nothing. The option "ack": "reply" writes them at once instead.
//
// # What is different from EMQX
//
// The gateway judges a device after the turn in which the handler authenticates it:
// Authenticate succeeds, and a device that may not come in has its link closed.
// OnSocketCreated is called with the first frame or tick of a link. Messages for
// devices are commands of the gateway. RawPublish is refused, since a message is
// always some device's. The older ConnectionHandler, whose streams tell nothing about
// what has been done, is not called.
package exproto
