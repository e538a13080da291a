package js

import (
	"cmp"
	"fmt"
	"time"
)

// Limits bound what one call of a script may cost. The zero value of a field means
// its default, which is a hundred times what the decoders of vendors need.
type Limits struct {
	// SourceBytes is the longest script. Default 512 KiB.
	SourceBytes int
	// Steps are the expressions that one call may evaluate, as counted by the
	// instrumented program: the same for the same input, whatever else the machine
	// does. Default 4 million, about a quarter of a second of one core.
	Steps int64
	// MemoryBytes is what one call may build of strings, arrays and buffers
	// altogether, freed or not. Default 64 MiB.
	MemoryBytes int64
	// StringLength is the longest string, in UTF-16 units. Default 1 Mi.
	StringLength int
	// Stack is how deeply functions may call each other. Default 400.
	Stack int
	// Stall ends a call whose steps are slow beyond reason (comparing strings of a
	// mebibyte a million times). It is wall time, and far above what a busy machine
	// needs for all Steps. Default 20 s.
	Stall time.Duration
	// OutputBytes is what one outcome may hold: bodies, properties, replies. Default
	// 1 MiB.
	OutputBytes int
	// Messages are the most messages, and the most results, of one outcome. Default 4096.
	Messages int
}

// regexTime is how long a regular expression with look-around or back references
// may try at one string: the engine runs others in linear time, and cannot be
// stopped from outside while it tries. It is wall time.
const regexTime = 500 * time.Millisecond

func (l Limits) withDefaults() Limits {
	l.SourceBytes = cmp.Or(l.SourceBytes, 512<<10)
	l.Steps = cmp.Or(l.Steps, 4_000_000)
	l.MemoryBytes = cmp.Or(l.MemoryBytes, 64<<20)
	l.StringLength = cmp.Or(l.StringLength, 1<<20)
	l.Stack = cmp.Or(l.Stack, 400)
	l.Stall = cmp.Or(l.Stall, 20*time.Second)
	l.OutputBytes = cmp.Or(l.OutputBytes, 1<<20)
	l.Messages = cmp.Or(l.Messages, 4096)
	return l
}

// meter counts what the call in progress of a realm has cost. stop interrupts the
// engine at its next instruction.
type meter struct {
	limits  Limits
	steps   int64 // left
	memory  int64 // left
	charges uint  // since the call began
	began   time.Time
	stop    func(reason any)
	stopped bool
	reason  string // why
}

// begin makes the budget whole for a call.
func (m *meter) begin() {
	m.steps, m.memory = m.limits.Steps, m.limits.MemoryBytes
	m.charges, m.stopped, m.began = 0, false, time.Now()
}

// clockEvery is how many charges pass between two looks at the clock.
const clockEvery = 16

// step charges n steps. It reports whether the call may go on.
func (m *meter) step(n int64) bool {
	m.steps -= n
	if m.steps < 0 {
		return m.end("more than %d steps", m.limits.Steps)
	}
	if m.charges++; m.charges%clockEvery == 0 && time.Since(m.began) > m.limits.Stall {
		return m.end("more than %v", m.limits.Stall)
	}
	return !m.stopped
}

// grow charges n bytes that a call is about to build or has built.
func (m *meter) grow(n int64) bool {
	const bytesAStep = 64 // what copying costs beside evaluating
	m.memory -= n
	if n < 0 || m.memory < 0 {
		return m.end("strings, arrays and buffers of more than %d bytes", m.limits.MemoryBytes)
	}
	return m.step(n / bytesAStep)
}

func (m *meter) end(format string, args ...any) bool {
	if !m.stopped {
		m.stopped, m.reason = true, fmt.Sprintf("used "+format, args...)
		m.stop(m.reason)
	}
	return false
}
