package layout

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// envelope is what every frame to a device has around its body.
type envelope struct {
	takes []string
	parts *yaml.Node
}

// compileEnvelope reads the envelope; its parts are compiled for each template, with
// the values that the template gives.
func (c *compiler) compileEnvelope(n *yaml.Node) {
	o := c.object(n, "envelope", keysOfEnvelope)
	c.envelope = &envelope{parts: o.get("parts")}
	if o.get("parts") == nil {
		c.fail(n, "envelope: parts are missing")
		return
	}
	if t := o.get("takes"); t != nil {
		for _, e := range c.list(t, "takes", maxParts) {
			name := c.name(e, "takes")
			if name == "body" || name == "when" || name == "raw" {
				c.fail(e, "takes: %q has a meaning of its own", name)
			}
			c.envelope.takes = append(c.envelope.takes, name)
		}
	}
	bodies := 0
	for _, e := range c.list(o.get("parts"), "parts", maxParts) {
		if e.Kind == yaml.ScalarNode && e.Value == "body" {
			bodies++
		}
	}
	if bodies != 1 {
		c.fail(o.get("parts"), "parts: has %d elements \"body\", want one", bodies)
	}
}

// template compiles bytes: hexadecimal digits or a list of parts as they are, or an
// object that fills the envelope.
func (c *compiler) template(n *yaml.Node, what string) *template {
	t := &template{}
	seen := c.device
	c.device = false
	if n.Kind != yaml.MappingNode {
		t.parts = c.parts(what, nil, n, nil)
	} else {
		c.filled(t, n, what)
	}
	for i, p := range t.parts {
		if _, ok := p.(later); ok {
			t.later = append(t.later, i)
		}
	}
	if c.fault == nil {
		t.image = imageOf(t, c.l.framing)
	}
	t.device = c.device
	c.device = seen
	if len(t.parts) > maxParts {
		c.fail(n, "%s: %d parts with those of the envelope, at most %d are allowed", what, len(t.parts), maxParts)
	}
	return t
}

// filled compiles an object: raw bytes, or the envelope with its values.
func (c *compiler) filled(t *template, n *yaml.Node, what string) {
	keys := "when raw body"
	if c.envelope != nil {
		keys += " " + strings.Join(c.envelope.takes, " ")
	}
	o := c.object(n, what, keys)
	if w := o.get("when"); w != nil {
		t.when = c.expr(w, "when", typeBool).b
	}
	if raw := o.get("raw"); raw != nil {
		t.parts = c.parts(what, nil, raw, nil)
		return
	}
	t.framed = true
	if c.envelope == nil {
		if !o.has("body") {
			c.fail(n, "%s: body is missing", what)
			return
		}
		t.parts = c.parts(what, nil, o.get("body"), nil)
		return
	}
	given := map[string]expr{}
	for _, name := range c.envelope.takes {
		v := o.get(name)
		if v == nil {
			c.fail(n, "%s: %s is missing, which the envelope takes", what, name)
			return
		}
		given[name] = c.expr(v, name)
	}
	body := o.get("body")
	if body == nil {
		body = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column}
	}
	t.parts = c.parts(what, given, c.envelope.parts, body)
}

// partList is the parts of one template while they are compiled.
type partList struct {
	parts  []part
	labels map[string][2]int
	later  []func()
}

// parts compiles a list of parts, with a body put where the list says so.
func (c *compiler) parts(what string, given map[string]expr, n, body *yaml.Node) []part {
	l := &partList{labels: map[string][2]int{}}
	c.addParts(l, what, given, n, body)
	for _, f := range l.later {
		f()
	}
	return l.parts
}

func (c *compiler) addParts(l *partList, what string, given map[string]expr, n, body *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		l.parts = append(l.parts, fixedPart(c.hex(n, what, 0, maxWritten)))
		return
	}
	for _, e := range c.list(n, what, maxParts) {
		if c.fault != nil {
			return
		}
		if e.Kind == yaml.ScalarNode && e.Value == "body" && body != nil {
			from := len(l.parts)
			c.addParts(l, "body", nil, body, nil)
			l.labels["body"] = [2]int{from, len(l.parts)}
			continue
		}
		if e.Kind == yaml.ScalarNode {
			l.parts = append(l.parts, fixedPart(c.hex(e, what, 1, maxWritten)))
			continue
		}
		outer := c.scope
		if given != nil { // what the template gives is seen by the envelope only
			c.scope = &scope{parent: outer, names: map[string]*field{}, aliases: given}
		}
		c.part(l, e)
		c.scope = outer
	}
}

func (c *compiler) part(l *partList, n *yaml.Node) {
	o := c.object(n, "part", keysOfPart)
	if c.fault != nil {
		return
	}
	at := len(l.parts)
	if name := o.get("name"); name != nil {
		l.labels[c.text(name, "name")] = [2]int{at, at + 1}
	}
	switch {
	case o.has("text"):
		c.only(o, "part", "name about text encoding")
		p := &textPart{e: c.interpolated(o.get("text")), encoding: "utf-8", size: -1, name: "text"}
		if e := o.get("encoding"); e != nil {
			p.encoding = c.oneOf(e, "encoding", encodings)
		}
		l.parts = append(l.parts, p)
	case o.has("copy"):
		c.only(o, "part", "name about copy")
		l.parts = append(l.parts, copyPart{c.fieldOf(o.get("copy"), "copy")})
	case o.has("length"):
		c.only(o, "part", "name about length from to add")
		p := &lengthPart{word: c.wordOf(o.get("length"), "length")}
		if a := o.get("add"); a != nil {
			p.add = c.integer(a, "add", -maxPart, maxPart)
		}
		l.parts = append(l.parts, p)
		l.later = append(l.later, func() { p.from, p.to = c.between(l, o, at+1, len(l.parts)) })
	case o.has("checksum"):
		c.only(o, "part", "name about checksum type from to")
		p := &sumPart{sum: c.algorithm(o.get("checksum"))}
		p.word = word{size: (p.sum.bits + 7) / 8, little: c.little}
		if t := o.get("type"); t != nil {
			p.word = c.wordOf(t, "type")
		}
		l.parts = append(l.parts, p)
		l.later = append(l.later, func() { p.from, p.to = c.between(l, o, 0, at) })
	case o.has("type") && o.has("value"):
		l.parts = append(l.parts, c.valued(o))
	default:
		c.fail(n, "part: want type and value, or one of text, copy, length, checksum")
	}
}

// between finds the parts where a length or a sum begins and ends.
func (c *compiler) between(l *partList, o object, from, to int) (begin, end int) {
	for i, key := range []string{"from", "to"} {
		n := o.get(key)
		if n == nil {
			continue
		}
		at, ok := l.labels[n.Value]
		if !ok && n.Value != "start" && n.Value != "end" {
			c.fail(n, "%s: %q is the name of no part, nor start, end or body", key, n.Value)
		}
		switch {
		case n.Value == "end":
			at[i] = len(l.parts)
		case n.Value == "start":
			at[i] = 0
		}
		if i == 0 {
			from = at[0]
		} else {
			to = at[1]
		}
	}
	return from, to
}

// valued compiles a part with a type and a value.
func (c *compiler) valued(o object) part {
	name := c.text(o.get("type"), "type")
	label := "value " + o.get("value").Value
	width, signed, little, isInt := c.intTypeOf(name)
	if n := o.get("endian"); n != nil {
		little = c.oneOf(n, "endian", "big little") == "little"
	} else if !isInt {
		little = c.little
	}
	value := o.get("value")
	switch {
	case isInt && width%8 == 0:
		c.only(o, "part", "name about type value endian")
		p := &intPart{e: c.integral(value), word: word{width / 8, little}, signed: signed, name: label}
		return c.constant(value, p)
	case name == "f32" || name == "f64":
		c.only(o, "part", "name about type value endian")
		size := map[string]int{"f32": 4, "f64": 8}[name]
		return &floatPart{e: c.expr(value, "value", typeFloat).f, word: word{size, little}}
	case name == "digits" || name == "bcd":
		c.only(o, "part", "name about type value size")
		return &digitsPart{e: c.expr(value, "value"), size: c.fixedSize(o, 1, 64), name: label}
	case name == "time":
		c.only(o, "part", "name about type value endian size format pattern zone epoch year")
		k := c.clock(o, little)
		if k.radix == 2 {
			c.fail(o.get("format"), "format: packed times are only read")
		}
		return &timePart{e: c.expr(value, "value", typeInt).i, clock: k}
	case name == "text":
		c.only(o, "part", "name about type value encoding size prefix")
		p := &textPart{e: c.expr(value, "value"), encoding: "utf-8", size: -1, name: label}
		if n := o.get("encoding"); n != nil {
			p.encoding = c.oneOf(n, "encoding", encodings)
		}
		if n := o.get("size"); n != nil {
			p.size = int(c.integer(n, "size", 0, maxWritten))
		}
		if n := o.get("prefix"); n != nil {
			p.prefix = c.wordOf(n, "prefix")
		}
		return p
	}
	c.fail(o.get("type"), "type: got %q, allowed are u8 to u64, i8 to i64, f32, f64, bcd, digits, text, time", name)
	return fixedPart(nil)
}

// constant writes a number of the layout once and for all.
func (c *compiler) constant(n *yaml.Node, p *intPart) part {
	e := c.expr(n, "value")
	if e.constant == nil {
		return p
	}
	if !fits(*e.constant, 8*p.word.size, p.signed) {
		c.fail(n, "value: %d does not fit into %d bytes", *e.constant, p.word.size)
	}
	return fixedPart(p.word.append(nil, uint64(*e.constant)))
}

// integral is an expression whose value is rounded to an integer.
func (c *compiler) integral(n *yaml.Node) func(*run) int64 {
	e := c.expr(n, "value")
	switch e.t {
	case typeInt:
		return e.i
	case typeFloat:
		return func(r *run) int64 { return whole(e.f(r)) }
	case typeBool:
		return func(r *run) int64 {
			if e.b(r) {
				return 1
			}
			return 0
		}
	}
	c.fail(n, "value: %q is %s, want a number", n.Value, e.t)
	return func(*run) int64 { return 0 }
}

// interpolated compiles text with {expressions} in it.
func (c *compiler) interpolated(n *yaml.Node) expr {
	text := c.text(n, "text")
	var pieces []expr
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if before != "" {
			pieces = append(pieces, textOf(before))
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			c.fail(n, "text: %q has no } behind {", n.Value)
			break
		}
		at := &yaml.Node{Kind: yaml.ScalarNode, Value: inside, Line: n.Line, Column: n.Column}
		pieces = append(pieces, c.expr(at, "text"))
		text = after
	}
	if len(pieces) == 1 {
		return pieces[0]
	}
	return expr{t: typeText, s: func(r *run) []byte {
		var all []byte
		for i := range pieces {
			all = r.keep(all, r.textOf(&pieces[i]))
		}
		return all
	}}
}
