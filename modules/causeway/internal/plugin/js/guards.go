package js

import (
	"math/big"
	"reflect"

	"github.com/dop251/goja"
)

// forbidden are the globals that a decoder has no use for: they compile code, reach
// behind the guards, or let objects outlive what is measured of them.
var forbidden = []string{"eval", "Function", "Proxy", "Reflect", "WeakRef", "FinalizationRegistry", "AsyncFunction"}

// globalNames are the names of the global object that a script may assign to without
// declaring them: they are the host's, and shared.
var globalNames = []string{
	"Object", "Array", "String", "Number", "Boolean", "Math", "JSON", "Date", "RegExp", "Map", "Set", "Symbol", "BigInt",
	"Error", "TypeError", "RangeError", "Promise", "Uint8Array", "DataView", "ArrayBuffer", "Buffer", "console",
	"parseInt", "parseFloat", "isNaN", "isFinite", "NaN", "Infinity", "globalThis",
	"atob", "btoa", "TextDecoder", "TextEncoder",
}

// guards puts all guards into place.
func (r *realm) guards() {
	global := r.vm.GlobalObject()
	for _, name := range []string{"String", "Array", "ArrayBuffer", "Map", "Set"} {
		c := member(global, name)
		r.guard(c)
		if name != "Map" && name != "Set" { // whose methods do one element each
			r.guard(member(c, "prototype"))
		}
	}
	r.guard(member(global, "BigInt"))
	r.guard(member(member(global, "BigInt"), "prototype"))
	r.guard(member(member(global, "Function"), "prototype"), "apply", "bind", "toString")
	r.guard(member(global, "Object"), "assign", "entries", "values", "keys", "fromEntries", "getOwnPropertyNames",
		"getOwnPropertyDescriptors", "defineProperties", "freeze", "seal", "isFrozen", "isSealed")
	r.guard(member(global, "Promise"), "all", "allSettled", "any", "race")
	r.guard(global, "escape", "unescape", "encodeURI", "encodeURIComponent", "decodeURI", "decodeURIComponent",
		"parseInt", "parseFloat")
	r.guard(member(global, "JSON"), "parse")
	typed := r.bytes.Prototype()
	r.guard(typed)
	r.guard(member(typed, "prototype"))
}

// shut takes away what reaches behind the guards.
func (r *realm) shut(global *goja.Object) {
	functions := []string{
		"(function(){})", "(function*(){})", "(async function(){})",
	}
	for _, f := range functions {
		if v, err := r.vm.RunString("Object.getPrototypeOf(" + f + ")"); err == nil {
			const no = goja.FLAG_FALSE
			_ = v.ToObject(r.vm).DefineDataProperty("constructor", goja.Undefined(), no, no, no)
		}
	}
	for _, name := range forbidden {
		_ = global.Delete(name)
	}
	_ = member(global, "Object").Delete("getOwnPropertySymbols")
}

func member(o *goja.Object, name string) *goja.Object {
	m, _ := o.Get(name).(*goja.Object)
	return m
}

// charge is what the prelude's proxies of constructors call with the arguments: it
// charges for what will be made of them, and returns them fit to be used.
func (r *realm) charge(c goja.FunctionCall) goja.Value {
	const widest = 8 // bytes of an element of a typed array
	list, ok := c.Argument(0).(*goja.Object)
	if !ok {
		return c.Argument(0)
	}
	switch first := list.Get("0").(type) {
	case nil:
	case *goja.Object:
		fit := r.bounded(first, false)
		if fit != goja.Value(first) {
			_ = list.Set("0", fit)
		}
		if first.ClassName() != "ArrayBuffer" {
			r.meter.grow(int64(min(length(fit), many)) * memberBytes)
		}
	default:
		if n := first.ToFloat(); n > 8 {
			r.meter.grow(int64(min(n, many)) * widest)
		}
	}
	if r.meter.stopped {
		return r.vm.NewArray()
	}
	return list
}

// bigInt returns the value of a BigInt, nil for anything else.
func bigInt(v goja.Value) *big.Int {
	if v == nil || v.ExportType() != reflect.TypeFor[*big.Int]() {
		return nil
	}
	n, _ := v.Export().(*big.Int)
	return n
}

// madeBigInt charges for a BigInt.
func (r *realm) madeBigInt(v goja.Value) {
	const most = 1 << 20
	if n := bigInt(v); n != nil && n.BitLen() > 64 {
		if n.BitLen() > most {
			r.meter.end("a BigInt of %d bits, at most %d are allowed", n.BitLen(), most)
		}
		r.meter.grow(int64(n.BitLen()) / 8)
	}
}
