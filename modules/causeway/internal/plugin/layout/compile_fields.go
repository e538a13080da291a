package layout

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list is a list of fields being compiled.
type list struct {
	steps []step
	size  int // bytes, or -1 where it varies
	// bits are fields that do not fill a byte yet.
	bits []bitItem
	used int // bits of them
}

type bitItem struct {
	o      object
	f      *field
	width  int
	signed bool
}

func (l *list) add(size int, steps ...step) {
	l.steps = append(l.steps, steps...)
	if size < 0 || l.size < 0 {
		l.size = -1
	} else {
		l.size += size
	}
}

// fields compiles a list of fields; the size is that of all, or -1.
func (c *compiler) fields(n *yaml.Node, what string) ([]step, int) {
	if c.depth++; c.depth > maxNested {
		c.fail(n, "%s: parts stand more than %d deep in each other", what, maxNested)
		return nil, 0
	}
	defer func() { c.depth-- }()
	var l list
	elements := c.list(n, what, maxList)
	for _, e := range elements {
		if c.fault != nil {
			return nil, 0
		}
		c.field(&l, e)
	}
	if l.used > 0 && c.fault == nil {
		c.fail(elements[len(elements)-1], "the bit fields have %d bits together, want a multiple of 8", l.used)
	}
	return fuse(l.steps), l.size
}

// field compiles one element of a list.
func (c *compiler) field(l *list, n *yaml.Node) {
	kind := c.kindOf(n)
	if kind == "" {
		return
	}
	if kind == "type" && c.bitField(l, n) {
		return
	}
	if l.used > 0 {
		c.fail(n, "begins in the middle of a byte, the bit fields before have %d bits", l.used)
		return
	}
	when := c.condition(n)
	inner := list{}
	switch kind {
	case "type":
		c.typed(&inner, c.object(n, "field", keysOfTyped))
	case "value":
		c.computed(&inner, c.object(n, "field", keysOfValue))
	case "switch":
		c.choice(&inner, c.object(n, "switch", keysOfSwitch))
	case "tlv":
		c.tlv(&inner, c.object(n, "tlv", keysOfTLV))
	case "check":
		c.check(&inner, c.object(n, "check", keysOfCheck))
	case "split", "pairs", "match":
		c.textual(&inner, n, kind)
	case "repeat":
		c.repeat(&inner, c.object(n, "repeat", keysOfRepeat))
	case "fields":
		c.group(&inner, c.object(n, "group", keysOfGroup))
	}
	if when != nil {
		l.add(-1, &whenStep{holds: when, steps: inner.steps})
		return
	}
	l.add(inner.size, inner.steps...)
}

// condition compiles the when of an element before its fields are declared: what is
// before it decides.
func (c *compiler) condition(n *yaml.Node) func(*run) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "when" {
			return c.expr(c.follow(n.Content[i+1]), "when", typeBool).b
		}
	}
	return nil
}

// kindOf is the key that says what an element is.
func (c *compiler) kindOf(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		c.fail(n, "field: got %s, want an object", shown(n))
		return ""
	}
	found := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		found[n.Content[i].Value] = true
	}
	for _, kind := range strings.Fields("switch tlv split pairs match repeat fields value type check") {
		if found[kind] {
			return kind
		}
	}
	c.object(n, "field", keysOfTyped) // a slip of the pen first
	c.fail(n, "field: want one of the keys type, fields, repeat, switch, tlv, split, pairs, match, value, check")
	return ""
}

var intType = regexp.MustCompile(`^([ui])([0-9]{1,2})(le|be)?$`)

// intTypeOf reads a type such as u16 or i24le.
func (c *compiler) intTypeOf(text string) (width int, signed, little, ok bool) {
	if text == "bit" {
		return 1, false, false, true
	}
	m := intType.FindStringSubmatch(text)
	if m == nil {
		return 0, false, false, false
	}
	width, err := strconv.Atoi(m[2])
	little = c.little
	if m[3] != "" {
		little = m[3] == "le"
	}
	return width, m[1] == "i", little, err == nil && width >= 1 && width <= 64
}

// wordOf reads an integer type of whole bytes.
func (c *compiler) wordOf(n *yaml.Node, what string) word {
	text := c.text(n, what)
	width, signed, little, ok := c.intTypeOf(text)
	if !ok || signed || width%8 != 0 {
		c.fail(n, "%s: got %q, want u8, u16, u24, u32, u40, u48, u56 or u64, with le or be behind", what, text)
		return word{size: 1}
	}
	return word{size: width / 8, little: little}
}

// bitField takes a field that does not fill bytes, and reports whether it is one.
func (c *compiler) bitField(l *list, n *yaml.Node) bool {
	o := c.object(n, "field", keysOfTyped)
	t := o.get("type")
	if t == nil || c.fault != nil {
		return c.fault != nil
	}
	width, signed, _, ok := c.intTypeOf(t.Value)
	if !ok || width%8 == 0 && l.used == 0 {
		return false
	}
	if o.has("when") {
		c.fail(o.get("when"), "when: a field within a byte is always there")
	}
	item := bitItem{o: o, width: width, signed: signed}
	item.f = c.integerField(o, t.Value == "bit", width, signed)
	l.bits = append(l.bits, item)
	if l.used += width; l.used > 64 {
		c.fail(n, "the bit fields before have %d bits together and fill no bytes, at most 64 are allowed", l.used)
	}
	if l.used%8 == 0 && c.fault == nil {
		c.flush(l)
	}
	return true
}

// flush makes one step of the bit fields that fill bytes.
func (c *compiler) flush(l *list) {
	s := &bitsStep{word: word{size: l.used / 8, little: c.little}}
	at := l.used
	if c.lsb {
		at = 0
	}
	for _, b := range l.bits {
		if !c.lsb {
			at -= b.width
		}
		s.fields = append(s.fields, bitField{f: b.f, shift: at, width: b.width, signed: b.signed})
		if c.lsb {
			at += b.width
		}
	}
	l.add(s.word.size, s)
	for _, b := range l.bits {
		c.after(l, b.o, b.f)
	}
	l.bits, l.used = nil, 0
}

func (c *compiler) integerField(o object, isBool bool, width int, signed bool) *field {
	f := &field{}
	switch {
	case isBool:
		f = c.declare(o, typeBool, formBool)
	case width == 64 && !signed:
		f = c.declareNumber(o, typeInt, formUint)
	default:
		f = c.declareNumber(o, typeInt, formInt)
	}
	c.naming(o, f)
	return f
}

// declareNumber declares a field after its scale has decided its type.
func (c *compiler) declareNumber(o object, t typ, fm form) *field {
	probe := &field{typ: t, form: fm, decimals: -1}
	c.scaling(o, probe)
	f := c.declare(o, probe.typ, probe.form)
	f.scale, f.decimals = probe.scale, probe.decimals
	return f
}

// after compiles what is done with a field that was read: flags, checks, its sum.
func (c *compiler) after(l *list, o object, f *field) {
	if n := o.get("flags"); n != nil {
		if f.typ != typeInt {
			c.fail(n, "flags: only an integer has flags")
		}
		f.hide = true
		s := &flagsStep{from: f}
		for _, e := range c.entries(n, "flags") {
			bit := object{at: e.key, what: "flags", members: map[string]*yaml.Node{"name": e.key}}
			s.flags = append(s.flags, bitField{
				f: c.declare(bit, typeBool, formBool), shift: int(c.integer(e.value, "flags", 0, 63)), width: 1,
			})
		}
		l.add(0, s)
	}
	if n := o.get("is"); n != nil {
		l.add(0, c.is(n, f))
	}
	if n := o.get("checksum"); n != nil {
		l.add(0, c.checksum(o, f))
	}
	if n := o.get("check"); n != nil {
		l.add(0, &checkStep{holds: c.expr(n, "check", typeBool).b, f: f, reason: "one with " + n.Value})
	}
}

// is compiles the values that a field may have.
func (c *compiler) is(n *yaml.Node, f *field) step {
	values := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		values = c.list(n, "is", maxList)
	}
	var texts []string
	var ints []int64
	var texted [][]byte
	for _, v := range values {
		texts = append(texts, v.Value)
		switch f.typ {
		case typeInt:
			ints = append(ints, c.code(v, "is", f))
		case typeText:
			text := c.text(v, "is")
			if f.hex {
				text = strings.ToLower(text)
			}
			texted = append(texted, []byte(text))
		default:
			c.fail(n, "is: %s is compared by check", f.label())
		}
	}
	slot, reason := f.slot, strings.Join(texts, ", ")
	if f.typ == typeInt {
		return &checkStep{f: f, reason: reason, holds: func(r *run) bool {
			for _, v := range ints {
				if r.cells[slot].n == v {
					return true
				}
			}
			return false
		}}
	}
	return &checkStep{f: f, reason: reason, holds: func(r *run) bool {
		for _, v := range texted {
			if bytes.Equal(r.cells[slot].b, v) {
				return true
			}
		}
		return false
	}}
}

// code reads an integer, or a name of the field's enumeration.
func (c *compiler) code(n *yaml.Node, what string, f *field) int64 {
	if f != nil {
		for number, name := range f.enum {
			if name == n.Value {
				return number
			}
		}
	}
	const least, most = -1 << 63, 1<<63 - 1
	return c.integer(n, what, least, most)
}
