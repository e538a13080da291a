package js

import (
	"math"
	"reflect"

	"github.com/dop251/goja"
)

// The engine cannot be interrupted within one of its built-in functions. So that
// none of them runs for long or makes something huge, those whose work or result
// grows with what they are given are replaced by guards, which charge before and
// after; the originals are out of the script's reach.

// native is a built-in function of the engine.
type native = func(goja.FunctionCall) goja.Value

// cheap are the built-ins that do a bounded piece of work.
var cheap = map[string]bool{
	"constructor": true, "length": true, "charCodeAt": true, "charAt": true, "codePointAt": true, "at": true,
	"push": true, "pop": true, "isArray": true, "hasOwnProperty": true,
	"fromCharCode": true, "fromCodePoint": true, "valueOf": true, "getPrototypeOf": true, "is": true, "isView": true,
	"hasOwn": true, "create": true, "defineProperty": true, "setPrototypeOf": true, "preventExtensions": true,
	"isExtensible": true, "of": true, "call": true, "byteLength": true, "buffer": true, "byteOffset": true,
}

// estimates say how many units of string, or elements, a call may make at most.
var estimates = map[string]func(r *realm, call goja.FunctionCall) float64{
	"repeat":     func(_ *realm, c goja.FunctionCall) float64 { return length(c.This) * max(0, c.Argument(0).ToFloat()) },
	"padStart":   func(_ *realm, c goja.FunctionCall) float64 { return c.Argument(0).ToFloat() },
	"padEnd":     func(_ *realm, c goja.FunctionCall) float64 { return c.Argument(0).ToFloat() },
	"replace":    replaced,
	"replaceAll": replaced,
	"fill":       func(_ *realm, c goja.FunctionCall) float64 { return length(c.This) },
	"concat":     concatenated,
	"join":       joined,
	"flat":       flattened,
	"asUintN":    func(_ *realm, c goja.FunctionCall) float64 { return c.Argument(0).ToFloat() },
	"asIntN":     func(_ *realm, c goja.FunctionCall) float64 { return c.Argument(0).ToFloat() },
	"match":      searched,
	"matchAll":   searched,
	"search":     searched,
	"raw":        func(_ *realm, c goja.FunctionCall) float64 { return many },
	"apply": func(_ *realm, c goja.FunctionCall) float64 {
		if n := length(c.Argument(1)); n > maxSpread {
			return many
		}
		return 0
	},
	"bind": func(_ *realm, c goja.FunctionCall) float64 { // "bound bound bound f"
		if f, ok := c.This.(*goja.Object); ok {
			return length(f.Get("name"))
		}
		return 0
	},
}

// elements says what an element of a result takes where it is more than elementBytes.
var elements = map[string]int64{
	"entries": 400, "fromEntries": memberBytes, "keys": 2 * elementBytes, "getOwnPropertyNames": 2 * elementBytes,
	"getOwnPropertyDescriptors": 800, "match": memberBytes, "matchAll": memberBytes, "split": 2 * elementBytes,
}

// many refuses a call.
const many = math.MaxInt32

// length is the size of a value: units of a string, elements of what has a length.
func length(v goja.Value) float64 {
	switch x := v.(type) {
	case nil:
		return 0
	case goja.String:
		return float64(x.Length())
	case *goja.Object:
		if n := x.Get("length"); n != nil {
			if f := n.ToFloat(); f > 0 { // not for NaN
				return f
			}
		}
	}
	return 0
}

// sized is the length of a string, an array or a typed array; an object that merely
// has a member of that name counts as nothing.
func sized(v goja.Value) float64 {
	o, ok := v.(*goja.Object)
	if ok && o.ClassName() != "Array" {
		if t := o.ExportType(); t == nil || t.Kind() != reflect.Slice {
			return 0
		}
	}
	return length(v)
}

// replaced is what a replacement may make: every unit is a match, and each $ stands
// for all of them, or for the whole text at each.
func replaced(_ *realm, c goja.FunctionCall) float64 {
	n := length(c.This) + 1
	with, ok := c.Argument(1).(goja.String)
	if !ok {
		return n
	}
	for i := range with.Length() - 1 {
		if next := with.CharAt(i + 1); with.CharAt(i) == '$' && (next == '`' || next == '\'') {
			return n * n * float64(with.Length())
		}
	}
	return n * (1 + float64(with.Length()))
}

func concatenated(_ *realm, c goja.FunctionCall) float64 {
	n := length(c.This)
	for _, a := range c.Arguments {
		n += length(a)
	}
	return n
}

// joined measures the pieces; those that are objects are measured when they are
// made into strings.
func joined(r *realm, c goja.FunctionCall) float64 {
	o, ok := c.This.(*goja.Object)
	if !ok {
		return length(c.This)
	}
	const number = 24 // the longest number
	n, count := 0.0, length(o)
	between := 1.0
	if s := c.Argument(0); !goja.IsUndefined(s) {
		between = length(s.ToString())
	}
	if !r.meter.step(int64(min(count, many))) {
		return many
	}
	for i := range int(count) {
		switch v := o.Get(decimal(i)).(type) {
		case goja.String:
			n += float64(v.Length())
		case *goja.Object:
			n += float64(r.limits().StringLength) / 64 // what a hundred of them may be
		default:
			n += number
		}
		n += between
	}
	return n
}

// flattened counts elements, those of an array that occurs in several places again.
func flattened(r *realm, c goja.FunctionCall) float64 {
	depth := 1.0
	if d := c.Argument(0); !goja.IsUndefined(d) {
		depth = d.ToFloat()
	}
	return r.leaves(c.This, depth, 0)
}

func (r *realm) leaves(v goja.Value, depth float64, level int) float64 {
	o, ok := v.(*goja.Object)
	switch {
	case !ok || o.ClassName() != "Array" || depth < 0:
		return 1
	case level > maxDepth: // the engine recurses too
		return many
	}
	count := length(o)
	if !r.meter.step(int64(min(count, many))) {
		return many
	}
	n := 0.0
	for i := 0; i < int(count) && !r.meter.stopped; i++ {
		n += r.leaves(o.Get(decimal(i)), depth-1, level+1)
	}
	return n
}

// What one unit of a string, element of an array, and member of an object takes.
const (
	charBytes    = 2
	elementBytes = 24
	memberBytes  = 100
)

// gathers are the built-ins that put what their callbacks return into one value.
var gathers = map[string]bool{"replace": true, "replaceAll": true, "flatMap": true}

// iterates are the built-ins that go through their arguments, or through what has a
// length, whatever it is.
var iterates = map[string]bool{
	"from": true, "fromEntries": true, "all": true, "allSettled": true, "any": true, "race": true,
	"apply": true, "concat": true, "set": true,
}

// guard replaces the functions of an object that are not cheap.
func (r *realm) guard(holder *goja.Object, names ...string) {
	if len(names) == 0 {
		names = holder.GetOwnPropertyNames()
	}
	for _, name := range names {
		if cheap[name] {
			continue
		}
		f, ok := holder.Get(name).(*goja.Object)
		if !ok {
			continue
		}
		if original, ok := f.Export().(native); ok {
			r.replaceNative(holder, name, r.guarded(name, original))
		}
	}
}

func (r *realm) replaceNative(holder *goja.Object, name string, f native) {
	_ = holder.DefineDataProperty(name, r.vm.ToValue(f), goja.FLAG_TRUE, goja.FLAG_FALSE, goja.FLAG_TRUE)
}

// guarded charges for a call of the original: for what it is given, for what it is
// about to make, and for what it made.
func (r *realm) guarded(name string, original native) native {
	estimate := estimates[name]
	gather, iterate, more := gathers[name], iterates[name], elements[name]
	return func(c goja.FunctionCall) goja.Value {
		n := length(c.This)
		for i, a := range c.Arguments {
			if gather || iterate {
				c.Arguments[i] = r.bounded(a, gather)
				n += length(c.Arguments[i])
			} else {
				n += sized(a)
			}
		}
		if !r.meter.step(1 + int64(min(n, many))/4) {
			return goja.Undefined()
		}
		if estimate != nil {
			unit := float64(charBytes)
			if _, object := c.This.(*goja.Object); object && name != "join" {
				unit = elementBytes
			}
			most := estimate(r, c) * unit
			if most > float64(r.meter.memory) {
				r.meter.grow(int64(min(most, math.MaxInt64/2)))
			} else if name == "bind" {
				r.meter.grow(int64(most))
			}
			if r.meter.stopped {
				return goja.Undefined()
			}
		}
		if r.natives++; r.natives > 2*r.limits().Stack {
			r.meter.end("built-in functions that call each other more than %d deep", 2*r.limits().Stack)
		}
		defer func() { r.natives-- }()
		if r.meter.stopped {
			return goja.Undefined()
		}
		v := r.made(original(c))
		if more > 0 {
			r.meter.grow(int64(min(length(v), many)) * more)
		}
		return v
	}
}

// bounded makes an argument fit to be given to a built-in: what gathers what a
// callback returns gets one that is charged, and what would be iterated becomes an
// array.
func (r *realm) bounded(a goja.Value, gather bool) goja.Value {
	o, ok := a.(*goja.Object)
	if !ok {
		return a
	}
	switch o.ClassName() {
	case "Array":
		return a
	case "Function":
		if !gather {
			return a
		}
		if v, err := r.measured(goja.Undefined(), a); err == nil {
			return v
		}
		return a
	}
	return r.materialized(o)
}

// made charges for a string or an array that exists now.
func (r *realm) made(v goja.Value) goja.Value {
	switch x := v.(type) {
	case goja.String:
		n := x.Length()
		if n > r.limits().StringLength {
			r.meter.end("a string of %d characters, at most %d are allowed", n, r.limits().StringLength)
		}
		if n > 8 { // shorter ones are paid for by the step
			r.meter.grow(int64(n) * charBytes)
		}
	case *goja.Object:
		if n := sized(x); n > 8 {
			r.meter.grow(int64(min(n, many)) * elementBytes)
		}
	default:
		r.madeBigInt(v)
	}
	return v
}
