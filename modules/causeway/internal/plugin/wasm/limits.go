package wasm

// Limits are what a module may use. Zero means the default.
type Limits struct {
	// Fuel is about the number of instructions for one call. Default 200 million: 20 to
	// 80 ms of compiled C, 8 ms of compiled Go, which pays more for the same; eight times
	// the dearest call of a Go codec with 8 MiB of live memory to collect.
	Fuel int64
	// StartFuel is that for starting an instance: runtime, configuration. Default 2
	// billion.
	StartFuel int64
	// MemoryBytes is the most memory of an instance. Default 16 MiB.
	MemoryBytes int64
	// StackBytes is the most stack, by an estimate of the frames. Default 1 MiB.
	StackBytes int32
	// OutputBytes is the longest outcome of one call. Default 1 MiB.
	OutputBytes int
	// Messages is the most messages of one outcome. Default 4096.
	Messages int
	// Instances is the most instances of one codec. Default 16384, or for modules
	// whose instances hold many dialogues 4.
	Instances int
	// Log gets what a module prints, at most 4 KiB for each call; it may be called
	// from several goroutines, and text is valid during the call only. Nil drops it.
	Log func(text []byte)
}

// Defaults of Limits.
const (
	defaultFuel        = 200e6
	defaultStartFuel   = 2e9
	defaultMemoryBytes = 16 << 20
	defaultStackBytes  = 1 << 20
	defaultOutputBytes = 1 << 20
	defaultMessages    = 4096
	defaultInstances   = 16384
	defaultShared      = 4
)

func (l Limits) withDefaults() Limits {
	orDefault(&l.Fuel, defaultFuel)
	orDefault(&l.StartFuel, defaultStartFuel)
	orDefault(&l.MemoryBytes, defaultMemoryBytes)
	orDefault(&l.StackBytes, defaultStackBytes)
	orDefault(&l.OutputBytes, defaultOutputBytes)
	orDefault(&l.Messages, defaultMessages)
	return l
}

func orDefault[N int | int32 | int64](v *N, d N) {
	if *v <= 0 {
		*v = d
	}
}

// instances is the bound for a codec.
func (l Limits) instances(shared bool) int {
	n := l.Instances
	if d := defaultInstances; !shared {
		orDefault(&n, d)
	} else {
		orDefault(&n, defaultShared)
	}
	return n
}
