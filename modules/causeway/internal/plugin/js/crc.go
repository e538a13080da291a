package js

import (
	"math/bits"

	"github.com/dop251/goja"
)

// crcKind is a cyclic redundancy check in the model of Rocksoft.
type crcKind struct {
	width         uint
	poly, init    uint64
	refIn, refOut bool
	xorOut        uint64
}

// crcKinds are the checks with a name; others are given by their parameters.
var crcKinds = map[string]crcKind{
	"crc8":              {8, 0x07, 0, false, false, 0},
	"crc8/maxim":        {8, 0x31, 0, true, true, 0},
	"crc8/rohc":         {8, 0x07, 0xff, true, true, 0},
	"crc16/arc":         {16, 0x8005, 0, true, true, 0},
	"crc16/modbus":      {16, 0x8005, 0xffff, true, true, 0},
	"crc16/usb":         {16, 0x8005, 0xffff, true, true, 0xffff},
	"crc16/ccitt-false": {16, 0x1021, 0xffff, false, false, 0},
	"crc16/xmodem":      {16, 0x1021, 0, false, false, 0},
	"crc16/kermit":      {16, 0x1021, 0, true, true, 0},
	"crc16/x25":         {16, 0x1021, 0xffff, true, true, 0xffff},
	"crc16/mcrf4xx":     {16, 0x1021, 0xffff, true, true, 0},
	"crc16/dnp":         {16, 0x3d65, 0, true, true, 0xffff},
	"crc24/openpgp":     {24, 0x864cfb, 0xb704ce, false, false, 0},
	"crc32":             {32, 0x04c11db7, 0xffffffff, true, true, 0xffffffff},
	"crc32/mpeg-2":      {32, 0x04c11db7, 0xffffffff, false, false, 0},
	"crc32/bzip2":       {32, 0x04c11db7, 0xffffffff, false, false, 0xffffffff},
	"crc32c":            {32, 0x1edc6f41, 0xffffffff, true, true, 0xffffffff},
}

// maxTables bounds the tables of one engine, for scripts that make up kinds.
const maxTables = 32

// crc is the helper crc(kind, bytes, from, to).
func (r *realm) crc(c goja.FunctionCall) goja.Value {
	kind, ok := r.crcKind(c.Argument(0))
	if !ok {
		return goja.Undefined()
	}
	b, ok := r.span(c, 1)
	if !ok {
		return goja.Undefined()
	}
	return r.vm.ToValue(int64(kind.sum(r.table(kind), b)))
}

// crcKind reads a name, or {width, poly, init, refin, refout, xorout}.
func (r *realm) crcKind(v goja.Value) (crcKind, bool) {
	o, ok := v.(*goja.Object)
	if !ok {
		kind, ok := crcKinds[v.String()]
		if !ok {
			r.fails("crc %q is not known, give its parameters {width, poly, init, refin, refout, xorout}", v.String())
		}
		return kind, ok
	}
	number := func(name string) uint64 {
		if n := o.Get(name); n != nil {
			return uint64(n.ToInteger())
		}
		return 0
	}
	flag := func(name string) bool { n := o.Get(name); return n != nil && n.ToBoolean() }
	k := crcKind{uint(number("width")), number("poly"), number("init"), flag("refin"), flag("refout"), number("xorout")}
	if k.width < 8 || k.width > 32 {
		r.fails("crc width %d, want 8 to 32", k.width)
		return k, false
	}
	return k, true
}

func (k crcKind) mask() uint64 { return 1<<k.width - 1 }

func (r *realm) table(k crcKind) *[256]uint64 {
	if t := r.tables[k]; t != nil {
		return t
	}
	if len(r.tables) >= maxTables {
		clear(r.tables)
	}
	t := &[256]uint64{}
	for i := range t {
		v := uint64(i) << (k.width - 8)
		for range 8 {
			if v>>(k.width-1)&1 == 1 {
				v = v<<1 ^ k.poly
			} else {
				v <<= 1
			}
		}
		t[i] = v & k.mask()
	}
	r.tables[k] = t
	return t
}

func (k crcKind) sum(table *[256]uint64, b []byte) uint64 {
	v := k.init
	for _, c := range b {
		if k.refIn {
			c = bits.Reverse8(c)
		}
		v = (v<<8 ^ table[byte(v>>(k.width-8))^c]) & k.mask()
	}
	if k.refOut {
		v = bits.Reverse64(v) >> (64 - k.width)
	}
	return (v ^ k.xorOut) & k.mask()
}
