// Package listen opens the gateway's listeners and turns what arrives into
// links: one [Link] is one TCP or TLS connection, or one UDP peer.
//
// It judges who may come in at all (PROXY protocol, allow-list, bounds on
// connections in all, per listener and per address, TLS within a deadline) and
// knows nothing of what the links say. A [Handler] above it owns that.
//
// # Goroutines
//
// Serve runs the accept loop, or the read loop of a UDP socket. A stream link has
// one goroutine, which runs Handler.Stream; a second one, the flusher, lives only
// while there is something to write, so an idle link holds neither buffer nor
// flusher. UDP peers have no goroutine: Datagram and Gone are called in the read
// loop, never concurrently. Serve returns after every one of them has ended.
package listen
