package js

import (
	_ "embed"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"
)

//go:embed prelude.js
var preludeSource string

// linksOfARealm bounds how many links share one engine, and with it what a fault
// within the engine itself costs, and how long one waits for another.
const linksOfARealm = 64

// realm is an engine with its guards. The links of a program that share it have
// nothing in common but the built-in objects: each has an instance of its own.
type realm struct {
	program *Program
	links   atomic.Int32
	dead    atomic.Bool // the engine failed, or the program was closed

	mu     sync.Mutex // one call at a time
	vm     *goja.Runtime
	meter  meter
	start  goja.Callable // makes an instance
	bytes  *goja.Object  // Uint8Array, unguarded
	spread goja.Callable // makes an array of what can be iterated
	// measured wraps a function so that what it returns is charged.
	measured goja.Callable
	iterator *goja.Symbol
	tools    [7]goja.Value // of the rewriter, in the order of its shell, and the global object
	dates    *goja.Object  // Date
	// parseJSON is JSON.parse, unguarded.
	parseJSON goja.Callable
	tables    map[crcKind]*[256]uint64
	natives   int    // guarded functions that wait for each other
	failure   string // why a host function returned undefined
}

func (r *realm) limits() *Limits { return &r.meter.limits }

// newRealm makes an engine without links.
func newRealm(p *Program) (*realm, error) {
	r := &realm{program: p, vm: goja.New(), iterator: goja.SymIterator, tables: map[crcKind]*[256]uint64{}}
	r.meter.limits = p.limits
	r.meter.stop = func(reason any) { r.vm.Interrupt(reason) }
	r.vm.SetMaxCallStackSize(p.limits.Stack)
	r.vm.SetRandSource(rand.Float64)
	r.meter.begin()
	if err := r.furnish(); err != nil {
		return nil, fmt.Errorf("make the engine of %s: %w", p.name, err)
	}
	return r, nil
}

// furnish puts the guards and the helpers into place, and the script's function.
func (r *realm) furnish() error {
	r.bytes, _ = r.vm.Get("Uint8Array").(*goja.Object)
	r.dates, _ = r.vm.Get("Date").(*goja.Object)
	r.parseJSON, _ = goja.AssertFunction(member(r.vm.GlobalObject(), "JSON").Get("parse"))
	for i, f := range []native{r.stepTool, r.madeTool, r.spreadTool, r.membersTool, r.smallTool, r.baseTool} {
		r.tools[i] = r.vm.ToValue(f)
	}
	r.tools[len(r.tools)-1] = r.vm.GlobalObject()
	prelude, err := r.run(r.program.prelude)
	if err != nil {
		return err
	}
	r.guards()
	host, err := prelude(goja.Undefined(), r.arguments(r.vm.GlobalObject(), r.host(), r.vm.GlobalObject())...)
	if err != nil {
		return err
	}
	entries, ok := host.(*goja.Object)
	if !ok {
		return errors.New("the prelude returned nothing")
	}
	o := member(entries, "tools")
	r.spread, _ = goja.AssertFunction(o.Get("spread"))
	r.measured, _ = goja.AssertFunction(o.Get("measured"))
	r.shut(r.vm.GlobalObject())
	r.start, err = r.run(r.program.code)
	return err
}

// arguments are those of a script's shell.
func (r *realm) arguments(own ...goja.Value) []goja.Value {
	return append(r.tools[:len(r.tools):len(r.tools)], own...)
}

func (r *realm) run(p *goja.Program) (goja.Callable, error) {
	v, err := r.vm.RunProgram(p)
	if err != nil {
		return nil, err
	}
	f, ok := goja.AssertFunction(v)
	if !ok {
		return nil, errors.New("the script's shell is no function")
	}
	return f, nil
}

// call runs one piece of work with a budget of its own. What it returns is an error
// of the contract: one of a kind, or that names where the script failed.
func (r *realm) call(work func() error) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead.Load() {
		return r.program.brokenf("the engine is gone")
	}
	r.meter.begin()
	defer func() {
		if v := recover(); v != nil {
			err = r.recovered(v)
		}
		err = r.judged(err)
	}()
	if err := work(); err != nil {
		return r.program.wordError(err)
	}
	return nil
}

// judged is the error of a call that may have run into a limit besides.
func (r *realm) judged(err error) error {
	if r.meter.stopped {
		r.vm.ClearInterrupt()
		if !isBroken(err) {
			return r.program.brokenf("%s", r.meter.reason)
		}
	}
	if r.program.backtracks && !isBroken(err) && time.Since(r.meter.began) > regexTime {
		return r.program.brokenf("took more than %v, and a regular expression may have been given up", regexTime)
	}
	return err
}

// recovered turns a panic into an error. The engine panics with errors of the
// script where a property is read outside of a call; anything else means that the
// engine itself failed, and is not used again.
func (r *realm) recovered(v any) error {
	if err, ok := v.(error); ok {
		if _, located := stackOf(err); located {
			return r.program.wordError(err)
		}
	}
	r.dead.Store(true)
	return r.program.brokenf("the engine failed: %v", v)
}

// The functions that the rewriter calls.

func (r *realm) stepTool(c goja.FunctionCall) goja.Value {
	r.meter.step(c.Argument(0).ToInteger())
	return goja.Undefined()
}

func (r *realm) madeTool(c goja.FunctionCall) goja.Value { return r.made(c.Argument(0)) }

// spreadTool returns what may be spread after it was charged.
func (r *realm) spreadTool(c goja.FunctionCall) goja.Value {
	a := c.Argument(0)
	if o, ok := a.(*goja.Object); ok && o.ClassName() != "Array" {
		a = r.materialized(o)
	}
	if n := length(a); n > maxSpread {
		r.meter.end("%.0f elements as arguments, at most %d are allowed", n, maxSpread)
		return r.vm.NewArray()
	} else if !r.meter.grow(int64(n) * elementBytes) {
		return r.vm.NewArray()
	}
	return a
}

// maxSpread bounds what is put on the engine's stack at once, which grows in small
// steps: the time is quadratic.
const maxSpread = 1 << 16

// membersTool charges for an object whose members are about to be copied.
func (r *realm) membersTool(c goja.FunctionCall) goja.Value {
	if o, ok := c.Argument(0).(*goja.Object); ok {
		r.meter.grow(int64(len(o.GetOwnPropertyNames())) * memberBytes)
	}
	if r.meter.stopped {
		return goja.Undefined()
	}
	return c.Argument(0)
}

// maxShift bounds what a BigInt is shifted by or raised to, and maxBase the bits of
// what is raised: a power stays below a mebibit.
const maxShift, maxBase = 4096, 256

// smallTool lets only small BigInts be the right operand of << >> and **.
func (r *realm) smallTool(c goja.FunctionCall) goja.Value {
	v := c.Argument(0)
	if n := bigInt(v); n != nil && n.CmpAbs(big.NewInt(maxShift)) > 0 {
		r.meter.end("a BigInt over %d as the right operand of << >> or **", maxShift)
		return c.Argument(1) // undefined: the operator throws, and the engine ends the call
	}
	return v
}

// baseTool lets only BigInts of some bits be raised.
func (r *realm) baseTool(c goja.FunctionCall) goja.Value {
	v := c.Argument(0)
	if n := bigInt(v); n != nil && n.BitLen() > maxBase {
		r.meter.end("a BigInt of %d bits as the base of **, at most %d are allowed", n.BitLen(), maxBase)
		return c.Argument(1)
	}
	return v
}

// materialized turns what can be iterated, but has no length to measure, into an
// array.
func (r *realm) materialized(o *goja.Object) goja.Value {
	if r.spread == nil || !present(o.GetSymbol(r.iterator)) || o.Get("length") != nil {
		return o
	}
	v, err := r.spread(goja.Undefined(), o)
	if err != nil {
		return o // iterating it again throws the same
	}
	return v
}

func decimal(i int) string { return strconv.Itoa(i) }
