// Package plugin gets the programs of codecs that are not built in: from a file, by
// HTTPS, or in pieces through a direct method. Whatever was got once is kept on disk
// under its SHA-256, so that a gateway starts while its sources are away.
//
// The engines that run the programs are in the packages beside: layout, js, wasm and
// rpc. They know nothing of this one; they meet in gateway.
package plugin
