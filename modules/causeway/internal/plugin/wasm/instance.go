package wasm

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter"
)

// leastArea is the first size of the guest's memory for what goes in.
const leastArea = 1 << 10

// instance is a started module. One goroutine at a time calls it: whoever holds mu.
type instance struct {
	program *Program
	mod     api.Module
	memory  api.Memory
	fuel    api.MutableGlobal
	stack   api.Global
	ctx     context.Context // of all calls; host functions find the instance in it
	decoder decoder
	host    host

	mu        sync.Mutex
	functions map[string]api.Function // those that were called more than once
	receive   api.Function
	words     [8]uint64 // parameters and result of the call
	area      uint32    // the guest's memory for what goes in
	areaSize  uint32
	input     []byte      // records on their way in
	broken    error       // why no call is made any more
	dead      atomic.Bool // broken is set; read without mu
}

// instanceKey is where the context of a call holds the instance.
type instanceKey struct{}

// start makes an instance.
func (p *Program) start(ctx context.Context) (*instance, error) {
	i := &instance{program: p, functions: map[string]api.Function{}}
	i.decoder.limits = &p.limits
	i.ctx = context.WithValue(context.WithoutCancel(ctx), instanceKey{}, i)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := p.engine.runtime.InstantiateModule(i.ctx, p.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("start: %s: %w", firstLine(err), codec.ErrBroken)
	}
	i.mod, i.memory = mod, mod.Memory()
	i.stack = mod.ExportedGlobal(meter.StackExport)
	fuel, ok := mod.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
	if !ok {
		i.close()
		return nil, fmt.Errorf("start: no counter of fuel: %w", codec.ErrBroken)
	}
	i.fuel = fuel
	if f := mod.ExportedFunction(fnInitialize); f != nil {
		if _, err := i.callFunction(f, p.limits.StartFuel); err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
	}
	i.receive = mod.ExportedFunction(fnReceive)
	return i, i.room(leastArea)
}

// close frees the instance. Later calls fail.
func (i *instance) close() {
	if i.broken == nil {
		i.broken = fmt.Errorf("the instance was closed: %w", codec.ErrBroken)
	}
	i.dead.Store(true)
	_ = i.mod.Close(i.ctx) // has no files that could fail to close
}

// end closes the instance when no call is made.
func (i *instance) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.close()
}

// fail ends the instance for a fault of its own.
func (i *instance) fail(err error) error {
	if i.broken == nil {
		i.broken = fmt.Errorf("wasm: %w: %w", err, codec.ErrBroken)
	}
	i.close()
	return i.broken
}

// keep returns a function that is called again and again. Each costs the memory of a
// stack, so that those which are called once are not kept.
func (i *instance) keep(name string) api.Function {
	f := i.functions[name]
	if f == nil {
		f = i.mod.ExportedFunction(name)
		i.functions[name] = f
	}
	return f
}

// call calls a function that starts something.
func (i *instance) call(name string, params ...uint64) (uint32, error) {
	return i.callFunction(i.mod.ExportedFunction(name), i.program.limits.StartFuel, params...)
}

// callFunction calls a function with so much fuel, and returns its result. Any
// error of it ends the instance.
func (i *instance) callFunction(f api.Function, fuel int64, params ...uint64) (uint32, error) {
	if i.broken != nil {
		return 0, i.broken
	}
	i.words[0] = 0
	copy(i.words[:], params)
	i.host.begin()
	i.fuel.Set(uint64(fuel))
	if err := f.CallWithStack(i.ctx, i.words[:]); err != nil {
		return 0, i.fail(i.trap(err, fuel))
	}
	return uint32(i.words[0]), nil
}

// room sees to it that so many bytes can be handed in.
func (i *instance) room(n uint32) error {
	if n <= i.areaSize {
		return nil
	}
	size := max(leastArea, uint32(1)<<bits.Len32(n-1))
	at, err := i.call(fnAlloc, uint64(size))
	if err != nil {
		return err
	}
	if at == 0 || uint64(at)+uint64(size) > uint64(i.memory.Size()) {
		return i.fail(fmt.Errorf("%s returned %d for %d bytes, the memory has %d", fnAlloc, at, size, i.memory.Size()))
	}
	i.area, i.areaSize = at, size
	return nil
}

// put hands bytes in and returns where they are.
func (i *instance) put(b []byte) (at, n uint64, err error) {
	const most = 1 << 30
	if i.broken != nil {
		return 0, 0, i.broken
	}
	if len(b) > most {
		return 0, 0, fmt.Errorf("%d bytes are too many: %w", len(b), codec.ErrProtocol)
	}
	if err := i.room(uint32(len(b))); err != nil {
		return 0, 0, err
	}
	if !i.memory.Write(i.area, b) {
		return 0, 0, i.fail(fmt.Errorf("the memory at %d is gone", i.area))
	}
	return uint64(i.area), uint64(len(b)), nil
}

// block returns the bytes that a result points to: a length of 32 bits, then that
// many bytes. They are the guest's memory, valid until its next call.
func (i *instance) block(at uint32) ([]byte, error) {
	if at == 0 {
		return nil, nil
	}
	n, ok := i.memory.ReadUint32Le(at)
	if !ok {
		return nil, i.fail(fmt.Errorf("a result at %d, the memory has %d bytes", at, i.memory.Size()))
	}
	if most := i.program.limits.OutputBytes; uint64(n) > uint64(most) {
		return nil, i.fail(fmt.Errorf("a result of %d bytes, at most %d are allowed", n, most))
	}
	b, ok := i.memory.Read(at+headSize, n)
	if !ok {
		return nil, i.fail(fmt.Errorf("a result of %d bytes at %d, the memory has %d", n, at, i.memory.Size()))
	}
	return b, nil
}

// outcome reads the outcome that a result points to.
func (i *instance) outcome(at uint32, out *codec.Outcome) error {
	b, err := i.block(at)
	if err != nil || len(b) == 0 {
		return err
	}
	from := len(out.Scratch)
	out.Scratch = append(out.Scratch, b...)
	failure, err := i.decoder.outcome(out.Scratch[from:len(out.Scratch):len(out.Scratch)], out)
	if err != nil {
		return i.fail(err)
	}
	return failure
}

// flags asks for the interface.
func (i *instance) flags() (uint32, error) {
	v, err := i.call(fnABI)
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrModule, fnABI, err)
	}
	return checkABI(v)
}

// configure hands the options in.
func (i *instance) configure(options []byte) error {
	at, n, err := i.put(options)
	if err != nil {
		return err
	}
	result, err := i.call(fnConfigure, at, n)
	if err != nil {
		return err
	}
	b, err := i.block(result)
	if err != nil {
		return err
	}
	r := records{rest: b}
	if r.next() && r.tag == tagError && len(r.data) > 0 {
		return optionError(string(r.data[1:]))
	}
	if r.err != nil || len(b) > 0 {
		return i.fail(fmt.Errorf("%s returned something else than an error: %w", fnConfigure, errNonsense))
	}
	return nil
}

// examples asks for the examples that are no custom sections.
func (i *instance) examples(known []Example) ([]Example, error) {
	at, err := i.call(fnExamples)
	if err != nil {
		return nil, err
	}
	b, err := i.block(at)
	if err != nil {
		return nil, err
	}
	r := records{rest: b}
	for r.next() {
		name, text, ok := named(r.data)
		if r.tag != tagExample || !ok {
			return nil, fmt.Errorf("a record with tag %d: %w", r.tag, errNonsense)
		}
		if known = append(known, Example{Name: string(name), Text: string(text)}); len(known) > maxExamples {
			return nil, fmt.Errorf("more than %d: %w", maxExamples, errNonsense)
		}
	}
	return known, r.err
}
