// Package js makes codecs of JavaScript: payload formatters as vendors of LoRaWAN
// devices publish them, unchanged, and scripts in a fuller shape for protocols with
// logins, answers and commands. docs/codecs/js.md is the guide for authors.
//
//	program, err := js.Compile("meter.js", source, js.Limits{})
//	...
//	registry.Add("meter", program.New)
//
// # Budget
//
// A script is instrumented before it is compiled: functions and loops count steps,
// and whatever can make a long string or a large array is measured (rewriter, guard).
// So a call costs the same on a busy machine as on an idle one, and ends at the same
// place; no watchdog and no goroutine is needed. What ran into a limit ends with an
// error that wraps codec.ErrBroken and names file, line and column.
//
// # Engines and links
//
// Links share engines (realm), up to 64 one, and each has a run of the script's top
// level of its own (instance): variables, declared or not, are the link's. Only the
// built-in objects are shared.
package js
