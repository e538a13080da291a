package layout

import (
	"encoding/hex"

	"go.yaml.in/yaml/v3"
)

// compileFraming reads how the stream is cut.
func (c *compiler) compileFraming(n *yaml.Node) *framing {
	f := &framing{limit: usualFrame}
	o := c.object(n, "frame", keysOfFrame)
	if !o.has("type") {
		c.fail(n, "frame: type is missing, want length, delimiter, line, delimited or fixed")
		return f
	}
	f.kind = c.oneOf(o.get("type"), "type", "length delimiter line delimited fixed")
	if l := o.get("limit"); l != nil {
		f.limit = int(c.integer(l, "limit", 1, maxFrame))
	}
	switch f.kind {
	case "length":
		c.only(o, "frame of type length", "about type limit prefix offset size adjustment strip endian")
		c.lengthFraming(o, f)
	case "delimiter":
		c.only(o, "frame of type delimiter", "about type limit hex text")
		switch {
		case o.has("hex") == o.has("text"):
			c.fail(n, "frame: a delimiter needs either hex or text")
		case o.has("hex"):
			f.end = c.hex(o.get("hex"), "hex", 1, maxMark)
		default:
			f.end = c.mark(o.get("text"), "text")
		}
	case "line":
		c.only(o, "frame of type line", "about type limit")
		f.end = []byte("\n")
	case "fixed":
		c.only(o, "frame of type fixed", "about type size")
		f.size = c.fixedSize(o, 1, maxFrame)
	default:
		c.only(o, "frame of type delimited", "about type limit preset start end escape")
		c.delimitedFraming(o, f)
	}
	return f
}

func (c *compiler) lengthFraming(o object, f *framing) {
	f.word = word{size: 2, little: c.little}
	if n := o.get("size"); n != nil {
		f.word.size = int(c.integer(n, "size", 1, 8))
	}
	if n := o.get("endian"); n != nil {
		f.word.little = c.oneOf(n, "endian", "big little") == "little"
	}
	if n := o.get("prefix"); n != nil {
		f.start = c.hex(n, "prefix", 1, maxHead)
	}
	f.offset = len(f.start)
	if n := o.get("offset"); n != nil {
		f.offset = int(c.integer(n, "offset", int64(len(f.start)), maxHead))
	}
	if n := o.get("adjustment"); n != nil {
		f.adjustment = int(c.integer(n, "adjustment", -maxFrame, maxFrame))
	}
	f.strip = f.offset == len(f.start)
	if n := o.get("strip"); n != nil {
		if f.strip = c.boolean(n, "strip"); f.strip && f.offset != len(f.start) {
			c.fail(n, "strip: got true, but the %d bytes before the length are not given as prefix", f.offset)
		}
	}
}

func (c *compiler) delimitedFraming(o object, f *framing) {
	if n := o.get("preset"); n != nil {
		if o.has("start") || o.has("end") || o.has("escape") {
			c.fail(n, "preset: got %s together with start, end or escape", shown(n))
		}
		c.preset(n, f)
		return
	}
	if n := o.get("end"); n != nil {
		f.end = c.hex(n, "end", 1, maxMark)
	} else {
		c.fail(o.at, "frame: end is missing, want bytes in hexadecimal")
		return
	}
	if n := o.get("start"); n != nil {
		f.start = c.hex(n, "start", 1, maxMark)
	}
	n := o.get("escape")
	if n == nil {
		return
	}
	e := c.object(n, "escape", keysOfEscape)
	switch {
	case e.has("map") && !e.has("byte") && !e.has("xor"):
		pairs := map[string]string{}
		for _, p := range c.entries(e.get("map"), "map") {
			pairs[p.name] = c.text(p.value, "map")
		}
		c.escapeByMap(n, f, pairs)
	case e.has("byte") && e.has("xor") && !e.has("map"):
		c.escapeByXor(n, f, c.hex(e.get("byte"), "byte", 1, 1)[0], c.hex(e.get("xor"), "xor", 1, 1)[0])
	default:
		c.fail(n, "escape: want either a map, or byte and xor")
	}
}

// preset is the framing of a known protocol.
func (c *compiler) preset(n *yaml.Node, f *framing) {
	switch c.oneOf(n, "preset", "hdlc slip jt808 mllp") {
	case "hdlc": // RFC 1662, section 4
		f.end = []byte{0x7e}
		c.escapeByXor(n, f, 0x7d, 0x20)
	case "slip": // RFC 1055
		f.end = []byte{0xc0}
		c.escapeByMap(n, f, map[string]string{"dbdc": "c0", "dbdd": "db"})
	case "jt808": // JT/T 808, section 4.4.2
		f.start, f.end = []byte{0x7e}, []byte{0x7e}
		c.escapeByMap(n, f, map[string]string{"7d02": "7e", "7d01": "7d"})
	case "mllp": // HL7, minimal lower layer protocol
		f.start, f.end = []byte{0x0b}, []byte{0x1c, 0x0d}
	}
}

func (f *framing) escapes(b byte) {
	f.escaping, f.escape = true, b
	for i := range 256 {
		f.decode[i], f.encode[i] = -1, -1
	}
}

// escapeByXor: the escape is followed by the byte meant, xor a constant.
func (c *compiler) escapeByXor(n *yaml.Node, f *framing, b, x byte) {
	f.escapes(b)
	if x == 0 || len(f.end) != 1 || len(f.start) > 1 || b == f.end[0] {
		c.fail(n, "escape: xor works with a start and an end of one byte, other than the escape, and not with 00")
		return
	}
	for i := range 256 {
		f.decode[i] = int16(byte(i) ^ x)
	}
	flags := append([]byte{b, f.end[0]}, f.start...)
	for _, flag := range flags[1:] {
		f.decode[flag] = -1 // an escaped flag aborts the frame
	}
	for _, flag := range flags {
		if f.encode[flag] = int16(flag ^ x); f.decode[flag^x] < 0 {
			c.fail(n, "escape: byte %02x xor %02x makes a flag out of %02x", b, x, flag)
		}
	}
}

// escapeByMap: pairs of bytes stand for single ones.
func (c *compiler) escapeByMap(n *yaml.Node, f *framing, pairs map[string]string) {
	first := -1
	for pair, meant := range pairs {
		from, errFrom := hex.DecodeString(pair)
		to, errTo := hex.DecodeString(meant)
		if errFrom != nil || errTo != nil || len(from) != 2 || len(to) != 1 || first >= 0 && int(from[0]) != first {
			c.fail(n, "escape: %s: %s, want two bytes for one, the first the same in all pairs", pair, meant)
			return
		}
		if first < 0 {
			first = int(from[0])
			f.escapes(from[0])
		}
		if f.encode[to[0]] >= 0 || f.decode[from[1]] >= 0 {
			c.fail(n, "escape: %s stands for %s, as another pair does", pair, meant)
		}
		f.decode[from[1]], f.encode[to[0]] = int16(to[0]), int16(from[1])
	}
	if first < 0 || f.encode[f.escape] < 0 || f.encode[f.end[0]] < 0 && f.end[0] != f.escape {
		c.fail(n, "escape: the map must have pairs for the escape and for the first byte of the end")
		return
	}
	if f.end[0] == f.escape && (len(f.end) == 1 || f.decode[f.end[1]] >= 0) {
		c.fail(n, "escape: the map has a pair that begins like the end")
	}
}
