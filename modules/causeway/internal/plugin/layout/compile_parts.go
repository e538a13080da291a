package layout

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// choice compiles a switch.
func (c *compiler) choice(l *list, o object) {
	s := &switchStep{on: c.expr(o.get("switch"), "switch", typeInt, typeText)}
	s.cases = c.cases(o, s.on, "malformed skip")
	l.add(-1, s)
}

// cases compiles the parts that a value chooses. What is in else is a part, or one of
// the words, the first of which is the default.
func (c *compiler) cases(o object, on expr, words string) cases {
	list := cases{ints: map[int64][]step{}, texts: map[string][]step{}}
	if !o.has("cases") {
		c.fail(o.at, "cases are missing")
		return list
	}
	outer := c.branch
	defer func() { c.branch = outer }()
	for _, e := range c.entries(o.get("cases"), "cases") {
		c.branches++
		c.branch = c.branches
		if on.t == typeText {
			list.texts[e.name], _ = c.fields(e.value, "case")
			continue
		}
		key := c.code(e.key, "case", on.field)
		if _, twice := list.ints[key]; twice {
			c.fail(e.key, "cases: %q is given twice", e.name)
		}
		list.ints[key], _ = c.fields(e.value, "case")
	}
	fallback := o.get("else")
	switch {
	case fallback == nil:
		list.strict = words == "malformed skip"
	case fallback.Kind == yaml.ScalarNode:
		list.strict = c.oneOf(fallback, "else", words) == "malformed"
	default:
		c.branches++
		c.branch = c.branches
		list.other, _ = c.fields(fallback, "else")
	}
	return list
}

// tlv compiles items of tag, length and value.
func (c *compiler) tlv(l *list, o object) {
	head := c.object(o.get("tlv"), "tlv", keysOfTLVHead)
	s := &tlvStep{tag: field{name: "tag"}}
	if n := head.get("tag"); n != nil {
		s.tagWord = c.wordOf(n, "tag")
	} else {
		c.fail(head.at, "tlv: tag is missing, want a type such as u8")
	}
	if n := head.get("length"); n != nil {
		s.lengthWord = c.wordOf(n, "length")
	}
	if n := head.get("adjust"); n != nil {
		s.adjust = c.integer(n, "adjust", -maxPart, maxPart)
	}
	s.cases = c.cases(o, expr{t: typeInt}, "skip malformed")
	l.add(-1, s)
}

// repeat compiles a part that is there several times.
func (c *compiler) repeat(l *list, o object) {
	s := &repeatStep{}
	times := -1
	switch n := o.get("repeat"); {
	case n.Value == "end":
	case n.Tag == "!!int":
		const most = 1 << 16 // more elements are a file, not a frame
		times = int(c.integer(n, "repeat", 1, most))
		s.count = func(*run) int64 { return int64(times) }
	default:
		s.count = c.expr(n, "repeat", typeInt).i
	}
	s.f = c.declare(o, typeNone, formJSON)
	c.repeats[s.f] = s
	s.from = c.l.slots
	s.f.inner = c.enter()
	size := -1
	switch {
	case o.has("fields") == o.has("type"):
		c.fail(o.at, "%s: want either fields, or the type of an element", o.label())
	case o.has("fields"):
		c.only(o, "repeat", keysOfAll+" repeat fields")
		s.steps, size = c.fields(o.get("fields"), "fields")
	default:
		var inner list
		element := object{at: o.at, what: "element", members: map[string]*yaml.Node{}}
		for _, key := range []string{"type", "endian", "scale", "offset", "decimals", "enum"} {
			if n := o.get(key); n != nil {
				element.members[key] = n
			}
		}
		c.element(&inner, element, s)
		s.steps, size = inner.steps, inner.size
	}
	s.to = c.l.slots
	if certain(s.steps) {
		s.to = s.from
	}
	if len(s.steps) == 1 {
		s.fused, _ = s.steps[0].(*fusedStep)
	}
	s.members = c.visible(s.f.inner, false)
	c.leave()
	if times < 0 || size < 0 {
		l.add(-1, s)
		return
	}
	l.add(times*size, s)
}

// element compiles elements that are numbers.
func (c *compiler) element(l *list, o object, s *repeatStep) {
	name := c.text(o.get("type"), "type")
	width, signed, little, isInt := c.intTypeOf(name)
	if n := o.get("endian"); n != nil {
		little = c.oneOf(n, "endian", "big little") == "little"
	} else if !isInt {
		little = c.little
	}
	switch {
	case isInt && width%8 == 0:
		s.element = c.integerField(o, false, width, signed)
		l.add(width/8, &intStep{f: s.element, word: word{width / 8, little}, signed: signed})
	case name == "f32" || name == "f64" || name == "f32le" || name == "f64le" || name == "f32be" || name == "f64be":
		s.element = c.floating(l, o, name, little)
	default:
		c.fail(o.get("type"), "type: got %q, elements without fields are integers of whole bytes, f32 or f64", name)
	}
}

// group compiles a part with a name or a length of its own.
func (c *compiler) group(l *list, o object) {
	s := &groupStep{}
	size := -1
	if o.has("size") || o.has("prefix") {
		z := c.sizing(o)
		s.size, size = &z, z.fixed
	}
	s.f = c.declare(o, typeNone, formJSON)
	s.f.inner = c.enter()
	inner := 0
	s.steps, inner = c.fields(o.get("fields"), "fields")
	s.members = c.visible(s.f.inner, false)
	c.leave()
	if s.f.name == "" && c.fault == nil {
		c.fail(o.at, "group: name is missing")
	}
	if s.size == nil {
		size = inner
	}
	l.add(size, s)
}

// textual compiles fields of text.
func (c *compiler) textual(l *list, n *yaml.Node, kind string) {
	switch kind {
	case "split":
		o := c.object(n, "split", keysOfSplit)
		columns, _ := c.columns(o, keysOfColumn)
		l.add(-1, &splitStep{separator: c.mark(o.get("split"), "split"), columns: columns})
	case "pairs":
		c.pairs(l, c.object(n, "pairs", keysOfPairs))
	case "match":
		c.match(l, c.object(n, "match", keysOfMatch))
	}
}

// mark reads bytes that separate text.
func (c *compiler) mark(n *yaml.Node, what string) []byte {
	text := c.text(n, what)
	if text == "" || len(text) > maxMark {
		c.fail(n, "%s: got %q, want 1 to %d bytes", what, text, maxMark)
	}
	return []byte(text)
}

func (c *compiler) pairs(l *list, o object) {
	marks := c.object(o.get("pairs"), "pairs", keysOfPairMarks)
	s := &pairsStep{columns: map[string]*column{}, equals: []byte("=")}
	if n := marks.get("equals"); n != nil {
		s.equals = c.mark(n, "equals")
	}
	if n := marks.get("between"); n != nil {
		s.between = c.mark(n, "between")
	} else {
		c.fail(marks.at, "pairs: between is missing")
	}
	if n := o.get("else"); n != nil {
		s.strict = c.oneOf(n, "else", "skip malformed") == "malformed"
	}
	columns, objects := c.columns(o, keysOfColumn+" key")
	for i := range columns {
		key := columns[i].f.name
		if n := objects[i].get("key"); n != nil {
			key = c.text(n, "key")
		}
		s.columns[key] = &columns[i]
		s.order = append(s.order, &columns[i])
	}
	l.add(-1, s)
}

func (c *compiler) match(l *list, o object) {
	n := o.get("match")
	pattern, err := regexp.Compile(c.text(n, "match"))
	if err != nil {
		c.fail(n, "match: %v", err)
		return
	}
	s := &matchStep{pattern: pattern}
	s.groups = make([]*column, pattern.NumSubexp()+1)
	columns, objects := c.columns(o, keysOfColumn)
	for i := range columns {
		group := pattern.SubexpIndex(columns[i].f.name)
		if group < 0 {
			c.fail(objects[i].at, "match: the pattern has no group (?P<%s>...)", columns[i].f.name)
			return
		}
		s.groups[group] = &columns[i]
	}
	l.add(-1, s)
}

// columns compiles the fields of a text.
func (c *compiler) columns(o object, keys string) ([]column, []object) {
	if !o.has("fields") {
		c.fail(o.at, "fields are missing")
		return nil, nil
	}
	var all []column
	var objects []object
	for _, n := range c.list(o.get("fields"), "fields", maxList) {
		f := c.object(n, "field", keys)
		if c.fault != nil {
			return nil, nil
		}
		all = append(all, c.column(f))
		objects = append(objects, f)
	}
	return all, objects
}

func (c *compiler) column(o object) column {
	col := column{kind: "text"}
	if n := o.get("type"); n != nil {
		col.kind = c.oneOf(n, "type", columnKinds)
	}
	if n := o.get("trim"); n != nil {
		col.trim = c.oneOf(n, "trim", "nul space both zeros")
	}
	if n := o.get("required"); n != nil {
		col.required = c.boolean(n, "required")
	}
	switch col.kind {
	case "int", "hexint":
		col.f = c.integerField(o, false, 63, true)
	case "number":
		// Scaled or not, what is written is kept as text.
		probe := &field{typ: typeFloat, form: formFloat, decimals: -1}
		c.scaling(o, probe)
		col.f = c.declare(o, typeFloat, formNumber)
		col.f.scale, col.f.decimals = probe.scale, probe.decimals
	case "ddmm":
		col.f = c.declare(o, typeFloat, formFloat)
		col.f.decimals = 7
	case "time":
		col.f = c.declare(o, typeInt, formTime)
		k := clock{radix: 10}
		if o.has("pattern") {
			at := o.get("pattern")
			if text := c.text(at, "pattern"); !k.pattern(text) {
				c.fail(at, "pattern: got %q, want the letters YMDhms, one for each digit", text)
			}
		}
		c.clockDetails(o, &k)
		col.clock = &k
	default:
		col.f = c.declare(o, typeText, formText)
		col.f.hide = col.f.hide || col.kind == "skip"
	}
	var l list
	c.after(&l, o, col.f)
	col.checks = l.steps
	return col
}
