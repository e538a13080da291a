// Package meter rewrites a WebAssembly module so that what it may use is counted by
// the module itself, instruction by instruction.
//
// The engine has no fuel, and what it offers in its place (closing a module when a
// context ends) starts a goroutine for each call, leaves the machine code at each
// turn of a loop, and does not see a recursion that branches. So [Rewrite] adds two
// globals that the host sets and reads, and the module's own code cannot name:
//
//   - fuel: each function takes the number of its instructions from it when it is
//     entered, each loop at each turn, and memory.copy and memory.fill by length.
//     Below zero the module traps.
//   - stack: each function that calls others takes an estimate of its frame and gives
//     it back. Below zero the module traps.
//
// The count depends on the module and its input alone: not on the machine, nor on
// what else it does. The same frame has the same price on a busy box, and on the
// interpreter.
//
// The rewritten module is validated by the engine like any other, so a mistake here
// is a module that does not load, never one that escapes.
package meter
