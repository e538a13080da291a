// Package wasm runs codecs that are WebAssembly modules, in wazero.
//
// An [Engine] compiles a module to a [Program], whose New is a codec.Factory. A
// module is a function of what it is given: it has memory of its own and may print,
// and there are no files, no network, no environment and no clock. What it may use
// is bounded by [Limits]; instructions are counted by the module itself (package
// meter), so no watchdog and no goroutine is needed, and the same frame has the same
// price on a busy box.
//
// A module that loops, recurses, grows, floods, traps or answers nonsense costs its
// instance: the call returns an error that wraps codec.ErrBroken, and so do later
// ones. Where the module says that one instance may hold many dialogues, which pays
// for languages with a large runtime, all dialogues of that instance end with it.
//
// The interface between host and module is described in docs/codecs/wasm-abi.md;
// abi.go and record.go are that page as code.
package wasm
