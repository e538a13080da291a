// Package rpc turns a codec written in Go into a server that Causeway calls over
// gRPC, so that a device protocol can live in a process or container of its own.
//
// The codec is written against package codec, as a built-in one is; the server is
// one call:
//
//	listener, err := net.Listen("tcp", ":7000")
//	if err != nil {
//		return err
//	}
//	return rpc.Server{Factory: New}.Serve(ctx, listener)
//
// What a dialogue can do is found out by the add-ons of package codec that it
// implements, and told to the gateway when the link begins. A panic of the codec
// costs the link on which it happens.
//
// The protocol is that of codecv1, for authors in other languages.
package rpc
