package js

import (
	"errors"
	"math"
	"math/big"
	"strconv"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// maxDepth bounds how deeply values are nested that are written as JSON.
const maxDepth = 64

var (
	errDepth = errors.New("values are nested too deeply, or in a circle")
	errSize  = errors.New("the output is too long")
)

// jsonWriter writes values of the engine as JSON, as JSON.stringify does, except
// that a BigInt is a number, and that size and depth have a bound.
type jsonWriter struct {
	realm *realm
	dst   []byte
	most  int // length of dst
}

// value writes v; it reports false where JSON.stringify leaves a value out.
func (w *jsonWriter) value(v goja.Value, depth int) (written bool, err error) {
	if len(w.dst) > w.most {
		return false, errSize
	}
	if depth > maxDepth {
		return false, errDepth
	}
	if !w.realm.meter.step(1) {
		return false, errSize // the engine knows the reason
	}
	switch x := v.(type) {
	case nil:
		return false, nil
	case goja.String:
		if x.Length() > w.most {
			return false, errSize
		}
		w.dst = value.AppendString(w.dst, []byte(x.String()))
		return true, nil
	case *goja.Object:
		return w.object(x, depth)
	case *goja.Symbol:
		return false, nil
	}
	if goja.IsUndefined(v) {
		return false, nil
	}
	switch x := v.Export().(type) {
	case int64:
		w.dst = strconv.AppendInt(w.dst, x, 10)
	case float64:
		w.dst = appendNumber(w.dst, x)
	case bool:
		w.dst = strconv.AppendBool(w.dst, x)
	case *big.Int:
		w.dst = x.Append(w.dst, 10)
	default:
		w.dst = append(w.dst, "null"...)
	}
	return true, nil
}

// appendNumber writes a number as JavaScript does.
func appendNumber(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case abs == 0:
		return append(dst, '0')
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n-from > 4 && dst[n-4] == 'e' && dst[n-2] == '0' { // e-09 is e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

func (w *jsonWriter) object(o *goja.Object, depth int) (bool, error) {
	if to, ok := goja.AssertFunction(o.Get("toJSON")); ok {
		v, err := to(o)
		if err != nil {
			return false, err
		}
		if inner, ok := v.(*goja.Object); ok {
			return w.plain(inner, depth)
		}
		return w.value(v, depth+1)
	}
	return w.plain(o, depth)
}

func (w *jsonWriter) plain(o *goja.Object, depth int) (bool, error) {
	switch o.ClassName() {
	case "Function", "Symbol":
		return false, nil
	case "Array":
		return true, w.array(o, depth)
	case "String":
		return w.value(o.ToString(), depth+1)
	case "Number":
		return w.value(o.ToNumber(), depth+1)
	case "Boolean":
		w.dst = strconv.AppendBool(w.dst, o.String() == "true")
		return true, nil
	}
	w.dst = append(w.dst, '{')
	first := true
	for _, key := range o.Keys() {
		mark := len(w.dst)
		if !first {
			w.dst = append(w.dst, ',')
		}
		w.dst = value.AppendString(w.dst, []byte(key))
		w.dst = append(w.dst, ':')
		written, err := w.value(o.Get(key), depth+1)
		if err != nil {
			return false, err
		}
		if !written {
			w.dst = w.dst[:mark]
			continue
		}
		first = false
	}
	w.dst = append(w.dst, '}')
	return true, nil
}

func (w *jsonWriter) array(o *goja.Object, depth int) error {
	w.dst = append(w.dst, '[')
	n := length(o)
	if n > float64(w.most) {
		return errSize
	}
	for i := range int(n) {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		written, err := w.value(o.Get(decimal(i)), depth+1)
		if err != nil {
			return err
		}
		if !written {
			w.dst = append(w.dst, "null"...)
		}
	}
	w.dst = append(w.dst, ']')
	return nil
}

// shallow lets only text through that a parser which recurses can read.
func (r *realm) shallow(c goja.FunctionCall) goja.Value {
	if nesting(c.Argument(0).String()) >= 0 {
		return r.fails("JSON is nested more than %d deep", maxNesting)
	}
	return r.vm.ToValue(true)
}

// json is behind JSON.stringify: null where that is undefined.
func (r *realm) json(c goja.FunctionCall) goja.Value {
	w := jsonWriter{realm: r, most: r.limits().StringLength}
	written, err := w.value(c.Argument(0), 0)
	switch {
	case err != nil:
		return r.fails("JSON.stringify: %v", err)
	case !written:
		return goja.Null()
	}
	return r.made(r.vm.ToValue(string(w.dst)))
}
