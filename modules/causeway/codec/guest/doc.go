// Package guest makes a WebAssembly module of a codec that is written in Go, so that
// a gateway loads it without being built anew. The codec stays as it is:
//
//	package main
//
//	var _ = guest.Serve(New, nil)
//
//	func main() {}
//
// and is built with the Go compiler alone:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags "-s -w" -o acme.wasm .
//
// A module has no files, no network, no environment and no clock; a codec needs none
// of them. Goroutines do not run while no call does. One instance of the module holds
// the dialogues of many links, since the runtime of Go takes some MiB.
package guest
