//go:build wasip1

package guest

import "encoding/binary"

// version is that of the interface, and says that one instance holds many dialogues.
const (
	version     = 1 | 1<<16
	flagNoSplit = 1 << 17
)

// empty is what a pointer to no bytes points to.
var empty [headSize]byte //nolint:gochecknoglobals // never written

// open begins a result: its length comes first.
func (s *Served) open() {
	if s.result == nil {
		s.result = make([]byte, 0, 1<<10)
	}
	s.result = s.result[:headSize]
}

// block is the result as the gateway finds it; nil where there is nothing.
func (s *Served) block() *byte {
	n := len(s.result) - headSize
	if n == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(s.result, uint32(n))
	return &s.result[0]
}

//go:wasmexport causeway_abi
func exportABI() uint32 {
	if served != nil && served.codec != nil && !served.splits {
		return version | flagNoSplit
	}
	return version
}

//go:wasmexport causeway_alloc
func exportAlloc(size uint32) *byte {
	if size == 0 {
		return &empty[0]
	}
	served.input = make([]byte, size)
	return &served.input[0]
}

//go:wasmexport causeway_examples
func exportExamples() *byte {
	served.open()
	served.cases()
	return served.block()
}

//go:wasmexport causeway_configure
func exportConfigure(_, n uint32) *byte {
	served.open()
	served.configure(append([]byte(nil), served.input[:n]...))
	return served.block()
}

//go:wasmexport causeway_begin
func exportBegin(dialogue, _, n uint32) *byte {
	served.open()
	served.begin(dialogue, served.input[:n])
	return served.block()
}

//go:wasmexport causeway_end
func exportEnd(dialogue uint32) { served.end(dialogue) }

//go:wasmexport causeway_split
func exportSplit(dialogue, _, n, atEOF uint32) *byte {
	served.open()
	served.split(dialogue, served.input[:n:n], atEOF != 0)
	return served.block()
}

//go:wasmexport causeway_receive
func exportReceive(dialogue uint32, at int64, _, n uint32) *byte {
	served.open()
	served.receive(dialogue, at, served.input[:n:n])
	return served.block()
}

//go:wasmexport causeway_command
func exportCommand(dialogue, _, n uint32) *byte {
	served.open()
	served.command(dialogue, served.input[:n])
	return served.block()
}

//go:wasmexport causeway_tick
func exportTick(dialogue uint32, at int64) *byte {
	served.open()
	served.tick(dialogue, at)
	return served.block()
}

//go:wasmexport causeway_resume
func exportResume(dialogue, _, n uint32) *byte {
	served.open()
	served.resume(dialogue, served.input[:n])
	return served.block()
}
