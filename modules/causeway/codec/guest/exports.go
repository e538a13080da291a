//go:build wasip1

package guest

// version is that of the interface, and says that one instance holds many dialogues.
const (
	version     = 1 | 1<<16
	flagNoSplit = 1 << 17
)

//go:wasmexport codec_abi
func exportABI() uint32 {
	if served != nil && served.codec != nil && !served.splits {
		return version | flagNoSplit
	}
	return version
}

//go:wasmexport codec_alloc
func exportAlloc(size uint32) *byte {
	return served.alloc(size)
}

//go:wasmexport codec_examples
func exportExamples() *byte {
	served.open()
	served.cases()
	return served.block()
}

//go:wasmexport codec_configure
func exportConfigure(_, n uint32) *byte {
	served.open()
	served.configure(append([]byte(nil), served.input[:n]...))
	return served.block()
}

//go:wasmexport codec_begin
func exportBegin(dialogue, _, n uint32) *byte {
	served.open()
	served.begin(dialogue, served.input[:n])
	return served.block()
}

//go:wasmexport codec_end
func exportEnd(dialogue uint32) { served.end(dialogue) }

//go:wasmexport codec_split
func exportSplit(dialogue, _, n, atEOF uint32) *byte {
	served.open()
	served.split(dialogue, served.input[:n:n], atEOF != 0)
	return served.block()
}

//go:wasmexport codec_receive
func exportReceive(dialogue uint32, at int64, _, n uint32) *byte {
	served.open()
	served.receive(dialogue, at, served.input[:n:n])
	return served.block()
}

//go:wasmexport codec_command
func exportCommand(dialogue, _, n uint32) *byte {
	served.open()
	served.command(dialogue, served.input[:n])
	return served.block()
}

//go:wasmexport codec_tick
func exportTick(dialogue uint32, at int64) *byte {
	served.open()
	served.tick(dialogue, at)
	return served.block()
}

//go:wasmexport codec_resume
func exportResume(dialogue, _, n uint32) *byte {
	served.open()
	served.resume(dialogue, served.input[:n])
	return served.block()
}
