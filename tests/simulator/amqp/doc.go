// Package amqp is a small AMQP 1.0 server: the type system, the frames, and the
// engine that keeps connections, sessions and links. It was written from the OASIS
// standard (parts 1 to 3 and the SASL part of part 5) and knows nothing of IoT Edge;
// what a node does is the business of a Handler.
//
// A Server answers one Handler:
//
//	srv := amqp.Server{Handler: h, ContainerID: "hub"}
//	err := srv.Serve(ctx, listener)
//
// For each connection there are three goroutines: the reader, which decodes frames
// and changes the state under the connection's lock; the writer, which sends all
// that has gathered since its last write; and ServeConn itself, which ends the
// connection and waits for the others. An incoming link has one more, so that its
// deliveries are handled one at a time and in order, and never hold up the reader.
//
// Lock law: a connection has one lock, held for bookkeeping only. No Handler and no
// callback of Terms or Outgoing is ever called with it held.
package amqp
