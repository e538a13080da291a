// Package trial measures: a [Trial] says what is sent to whom, [Runner.Run] does it once and
// returns a [Result].
//
// Throughput and CPU are taken between two moments in the middle of the load, at the sink and
// from the kernel, so that neither what waits in buffers nor the start counts. Then the load
// ends, the gateway drains, and everything that was sent must have arrived once, in order.
package trial
