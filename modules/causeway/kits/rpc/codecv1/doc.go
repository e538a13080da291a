// Package codecv1 is the protocol between Causeway and a codec in another process,
// generated from codec.proto, which says what each message means. Authors in Go use
// package rpc above it; authors in other languages generate code from codec.proto,
// which stands alone.
package codecv1
