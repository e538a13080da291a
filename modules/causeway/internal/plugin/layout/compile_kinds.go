package layout

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// kinds are the types of fields that are no integers, for errors.
const kinds = "u1 to u64, i1 to i64 (with le or be behind), bit, f32, f64, bool, bcd, digits, text, hex, skip, time"

// typed compiles a field that is read from bytes.
func (c *compiler) typed(l *list, o object) {
	if !o.has("type") {
		return // the fault is there already
	}
	name := c.text(o.get("type"), "type")
	width, signed, little, isInt := c.intTypeOf(name)
	if n := o.get("endian"); n != nil {
		little = c.oneOf(n, "endian", "big little") == "little"
	} else if !isInt {
		little = c.little
	}
	var f *field
	switch {
	case isInt:
		f = c.integerField(o, false, width, signed)
		l.add(width/8, &intStep{f: f, word: word{width / 8, little}, signed: signed})
	case name == "bool":
		f = c.declare(o, typeBool, formBool)
		l.add(1, &intStep{f: f, word: word{size: 1}})
	case name == "f32" || name == "f32le" || name == "f32be" || name == "f64" || name == "f64le" || name == "f64be":
		f = c.floating(l, o, name, little)
	case name == "bcd":
		size := c.fixedSize(o, 1, 9)
		f = c.declareNumber(o, typeInt, formInt)
		l.add(size, &bcdStep{f: f, word: word{size, little}})
	case name == "time":
		f = c.timed(l, o, little)
	case name == "text" || name == "hex" || name == "digits" || name == "skip":
		f = c.bytes(l, o, name)
	default:
		c.fail(o.get("type"), "type: got %q, allowed are %s", name, kinds)
		return
	}
	c.foreign(o, name, isInt)
	c.after(l, o, f)
}

// foreign refuses keys that mean nothing for the type.
func (c *compiler) foreign(o object, name string, isInt bool) {
	allowed := map[string]string{
		"bcd":    "size endian scale offset decimals is check checksum from to",
		"time":   "size endian format pattern zone epoch year invalid check",
		"text":   "size prefix until until_hex encoding trim is check",
		"hex":    "size prefix until until_hex is check",
		"digits": "size prefix trim is check",
		"skip":   "size prefix until until_hex",
		"bool":   "check",
	}[name]
	switch {
	case isInt:
		allowed = "endian scale offset decimals enum flags is check checksum from to"
	case allowed == "":
		allowed = "endian scale offset decimals check"
	}
	c.only(o, "type "+name, keysOfAll+" unit type "+allowed)
}

// only refuses members that the words do not name.
func (c *compiler) only(o object, what, allowed string) {
	if o.at == nil || c.fault != nil {
		return
	}
	c.object(o.at, what, allowed)
}

func (c *compiler) floating(l *list, o object, name string, little bool) *field {
	size, fm := 8, formFloat
	if name[1] == '3' {
		size, fm = 4, formFloat32
	}
	if len(name) > 3 {
		little = name[3:] == "le"
	}
	f := c.declareNumber(o, typeFloat, fm)
	l.add(size, &floatStep{f: f, word: word{size, little}})
	return f
}

// fixedSize is a size that is a number.
func (c *compiler) fixedSize(o object, least, most int64) int {
	n := o.get("size")
	if n == nil {
		c.fail(o.at, "%s: size is missing, want a number of bytes from %d to %d", o.label(), least, most)
		return int(least)
	}
	return int(c.integer(n, "size", least, most))
}

// maxPart is the longest part of fixed size: that of a frame.
const maxPart = maxFrame

// sizing reads how long a field is.
func (c *compiler) sizing(o object) sizing {
	z := sizing{fixed: -1}
	given := 0
	for _, key := range []string{"size", "prefix", "until", "until_hex"} {
		if o.has(key) {
			given++
		}
	}
	if given != 1 {
		c.fail(o.at, "%s: got %d of the keys size, prefix, until and until_hex, want one", o.label(), given)
		return z
	}
	if n := o.get("prefix"); n != nil {
		z.prefix = c.wordOf(n, "prefix")
	}
	if n := o.get("until"); n != nil {
		if z.until = []byte(c.text(n, "until")); len(z.until) == 0 || len(z.until) > maxMark {
			c.fail(n, "until: got %s, want 1 to %d bytes", shown(n), maxMark)
		}
	}
	if n := o.get("until_hex"); n != nil {
		z.until = c.hex(n, "until_hex", 1, maxMark)
	}
	if n := o.get("size"); n != nil {
		switch {
		case n.Value == "rest":
			z.rest = true
		case n.Tag == "!!int":
			z.fixed = int(c.integer(n, "size", 0, maxPart))
		default:
			z.count = c.expr(n, "size", typeInt).i
		}
	}
	return z
}

func (c *compiler) bytes(l *list, o object, kind string) *field {
	s := &bytesStep{size: c.sizing(o), as: reader{kind: kind, encoding: "utf-8"}}
	if n := o.get("encoding"); n != nil {
		s.as.encoding = c.oneOf(n, "encoding", encodings)
	}
	if n := o.get("trim"); n != nil {
		s.as.trim = c.oneOf(n, "trim", "nul space both zeros")
	}
	s.f = c.declare(o, typeText, formText)
	s.f.hex = kind == "hex"
	s.f.hide = s.f.hide || kind == "skip"
	l.add(s.size.fixed, s)
	return s.f
}

// timeFormats are the ways that a time is written in bytes.
const timeFormats = "unix unix_ms bcd bytes packed"

func (c *compiler) timed(l *list, o object, little bool) *field {
	s := &timeStep{clock: c.clock(o, little)}
	s.f = c.declare(o, typeInt, formTime)
	l.add(s.clock.size(), s)
	return s.f
}

// clock reads how a time is written.
func (c *compiler) clock(o object, little bool) clock {
	k := clock{word: word{size: 4, little: little}}
	format := "unix"
	if n := o.get("format"); n != nil {
		format = c.oneOf(n, "format", timeFormats)
	}
	switch format {
	case "unix":
		k.unit = int64(time.Second)
	case "unix_ms":
		k.unit, k.word.size = int64(time.Millisecond), 8
	case "bcd":
		k.radix = 10
		c.pattern(o, &k, "YYMMDDhhmmss")
	case "bytes":
		k.radix = 256
		c.pattern(o, &k, "YMDhms")
	default:
		k.radix = 2
		c.pattern(o, &k, "")
	}
	if n := o.get("size"); n != nil {
		k.word.size = int(c.integer(n, "size", 1, 8))
		if k.unit == 0 {
			c.fail(n, "size: the pattern says how long a time of format %s is", format)
		}
	}
	c.clockDetails(o, &k)
	return k
}

// clockDetails reads what all times may have.
func (c *compiler) clockDetails(o object, k *clock) {
	if n := o.get("year"); n != nil {
		k.year = int(c.integer(n, "year", 0, 9999))
	}
	if n := o.get("zone"); n != nil {
		t, err := time.Parse("-07:00", c.text(n, "zone"))
		if err != nil {
			c.fail(n, "zone: got %s, want an offset such as +08:00", shown(n))
		} else {
			_, east := t.Zone()
			k.zone = time.Duration(east) * time.Second
		}
	}
	if n := o.get("epoch"); n != nil {
		t, err := time.Parse(time.DateOnly, c.text(n, "epoch"))
		if err != nil || t.Year() < 1900 || t.Year() > 2100 {
			c.fail(n, "epoch: got %s, want a date such as 2000-01-01", shown(n))
		} else {
			k.epoch = t.Unix()
		}
	}
	if n := o.get("invalid"); n != nil {
		k.lenient = c.oneOf(n, "invalid", "malformed absent") == "absent"
	}
}

func (c *compiler) pattern(o object, k *clock, text string) {
	at := o.get("pattern")
	if at != nil {
		text = c.text(at, "pattern")
	} else {
		at = o.at
	}
	whole := map[int]int{2: 8, 10: 2, 256: 1}[k.radix]
	if !k.pattern(text) || len(k.parts)%whole != 0 {
		c.fail(at, "pattern: got %q, want the letters YMDhms, one for each digit, byte or bit, in whole bytes", text)
	}
}

func (c *compiler) computed(l *list, o object) {
	s := &valueStep{e: c.expr(o.get("value"), "value")}
	if s.e.t == typeNone {
		c.fail(o.get("value"), "value: %s has no value", o.get("value").Value)
	}
	l.add(0, s)
	s.f = c.declare(o, s.e.t, formOf(s.e.t))
	if n := o.get("decimals"); n != nil {
		s.f.decimals = int(c.integer(n, "decimals", 0, maxPlaces))
	}
}

// formOf is how a value that is no number of the frame is written.
func formOf(t typ) form {
	switch t {
	case typeFloat:
		return formFloat
	case typeBool:
		return formBool
	case typeText:
		return formText
	}
	return formInt
}

func (c *compiler) check(l *list, o object) {
	n := o.get("check")
	s := &checkStep{holds: c.expr(n, "check", typeBool).b, reason: "the check " + n.Value + " failed"}
	if e := o.get("error"); e != nil {
		s.reason = c.text(e, "error")
	}
	l.add(0, s)
}

// checksum compiles the comparison of a field with the sum of a range.
func (c *compiler) checksum(o object, f *field) step {
	s := &checksumStep{f: f, sum: c.algorithm(o.get("checksum"))}
	if s.sum.bits > 0 && f.form == formInt && c.fault == nil {
		if width, _, _, _ := c.intTypeOf(o.get("type").Value); width != s.sum.bits {
			c.fail(o.get("checksum"), "checksum: %s has %d bits, the field has %d", o.get("checksum").Value, s.sum.bits, width)
		}
	}
	s.from, s.to = place{}, place{field: f}
	if n := o.get("from"); n != nil {
		s.from = c.place(n, "from", f, false)
	}
	if n := o.get("to"); n != nil {
		s.to = c.place(n, "to", f, true)
	}
	return s
}

func (c *compiler) algorithm(n *yaml.Node) algorithm {
	name := c.text(n, "checksum")
	if a, ok := c.sums[name]; ok {
		return a
	}
	a, ok := algorithmOf(name)
	if !ok {
		c.fail(n, "checksum: got %q, known are %s", name, algorithmNames())
		return algorithm{8, xor}
	}
	c.sums[name] = a
	return a
}

// place reads where a range begins or ends: start, end, before or after the sum, a
// field, or a number of bytes.
func (c *compiler) place(n *yaml.Node, what string, f *field, behind bool) place {
	switch text := c.text(n, what); {
	case text == "start":
		return place{}
	case text == "end":
		return place{fromEnd: true}
	case text == "before":
		return place{field: f}
	case text == "after":
		return place{field: f, behind: true}
	case n.Tag == "!!int":
		at := int(c.integer(n, what, -maxPart, maxPart))
		if at < 0 {
			return place{fromEnd: true, at: -at}
		}
		return place{at: at}
	}
	return place{field: c.fieldOf(n, what), behind: behind}
}
