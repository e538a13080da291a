// Package rpc runs codecs that live in other processes, reached over gRPC by the
// protocol of kits/rpc/codecv1.
//
// A [Client] knows the endpoints of one plugin; [Client.New] is its codec.Factory.
// Each link is one call on one endpoint, and the state of its dialogue is that
// call's: a link stays where it began, and ends with its endpoint. New links go to
// the endpoints that are healthy, in turn.
//
// Nothing waits without a bound. A step has a deadline; a late answer, a wrong one
// and an endpoint that is gone are errors that wrap codec.ErrBroken, which costs
// the link and makes the frame a dead letter. Steps in flight are bounded in number
// and in bytes; a step that finds no room within its deadline is late.
package rpc
