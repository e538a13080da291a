package layout

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFields of a layout are three times those of the largest known protocol page.
	maxFields = 2048
	// maxNested parts keep the decoder's stack and the output of a frame small.
	maxNested = 8
	// maxList bounds fields in a list, cases, messages, parts.
	maxList = 512
)

// compiled is a layout made ready: read-only, shared by all links.
type compiled struct {
	name string
	// slots are the cells of a run; the first are those of the parameters.
	slots, parameters int
	// common are the slots up to the first message type's, if they have to be forgotten.
	common          int
	counters        []counter
	framing         *framing
	headSteps, tail []step
	tailSize        int
	on              *expr
	messages        []*messageType
	// small are the message types of the discriminators 0 to 255, ints those of the others.
	small    [256]*messageType
	ints     map[int64]*messageType
	texts    map[string]*messageType
	other    *messageType
	identity *expr
	commands map[string]*command
	// malformed is what is answered to a malformed frame, or nil.
	malformed *template
}

// counter is a number that each use moves on.
type counter struct {
	name     string
	from, to int64
}

// scope are the names of one level.
type scope struct {
	parent *scope
	names  map[string]*field
	order  []*field
	// aliases are names that stand for expressions.
	aliases map[string]expr
}

// compiler turns the source into steps.
type compiler struct {
	source
	l *compiled
	// little is the endianness of the layout, lsb that bit fields begin at the low end.
	little, lsb bool
	scope       *scope
	fieldCount  int
	depth       int
	// branch is the case being compiled.
	branch, branches int
	repeats          map[*field]*repeatStep
	envelope         *envelope
	// device is set where an expression names the device of the link.
	device bool
	// tables of check sums are shared.
	sums map[string]algorithm
}

// enter begins a level of names within the present one.
func (c *compiler) enter() *scope {
	c.scope = &scope{parent: c.scope, names: map[string]*field{}}
	return c.scope
}

func (c *compiler) leave() { c.scope = c.scope.parent }

var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are names that expressions know already.
var reserved = map[string]bool{
	"index": true, "now": true, "device": true, "frame_size": true, "true": true, "false": true,
}

// declare makes the field that the object describes, in the present level.
func (c *compiler) declare(o object, t typ, f form) *field {
	d := &field{typ: t, form: f, decimals: -1, branch: c.branch, slot: c.l.slots, wanted: new(bool)}
	if c.fieldCount++; c.fieldCount > maxFields {
		c.fail(o.at, "more than %d fields", maxFields)
	}
	if n := o.get("name"); n != nil {
		d.name = c.name(n, "name")
	}
	if n := o.get("hide"); n != nil {
		d.hide = c.boolean(n, "hide")
	}
	if n := o.get("unit"); n != nil {
		d.unit = c.text(n, "unit")
	}
	c.register(o.at, d)
	return d
}

// name reads the name of a field, message or command.
func (c *compiler) name(n *yaml.Node, what string) string {
	const most = 64
	name := c.text(n, what)
	if !fieldName.MatchString(name) || len(name) > most || reserved[name] {
		c.fail(n, "%s: got %q, want at most %d letters, digits and _, and none of index, now, device, frame_size",
			what, name, most)
	}
	return name
}

// register gives a field its name; in another case of a switch the same name is the
// same value.
func (c *compiler) register(at *yaml.Node, d *field) {
	c.l.slots++
	if d.name == "" {
		return
	}
	if other := c.scope.names[d.name]; other != nil {
		if other.branch == d.branch || other.typ != d.typ || (other.form == formJSON) != (d.form == formJSON) ||
			(other.form == formTime) != (d.form == formTime) {
			c.fail(at, "name: %q is taken by a field before", d.name)
		}
		d.slot, d.wanted = other.slot, other.wanted
		c.l.slots--
		return
	}
	c.scope.names[d.name] = d
	c.scope.order = append(c.scope.order, d)
}

// lookup implements names.
func (c *compiler) lookup(name string) (expr, bool) {
	switch name {
	case "index":
		return expr{t: typeInt, i: func(r *run) int64 { return r.index }}, true
	case "now":
		return expr{t: typeInt, i: (*run).seconds}, true
	case "frame_size":
		return expr{t: typeInt, i: func(r *run) int64 { return int64(len(r.frame)) }}, true
	case "device":
		c.device = true
		return expr{t: typeText, s: func(r *run) []byte { return r.deviceText }}, true
	}
	first, rest, dotted := strings.Cut(name, ".")
	for s := c.scope; s != nil; s = s.parent {
		if e, ok := s.aliases[name]; ok {
			return e, true
		}
		f := s.names[first]
		for dotted && f != nil && f.inner != nil {
			first, rest, dotted = strings.Cut(rest, ".")
			f = f.inner.names[first]
		}
		if f != nil && !dotted {
			return reference(f), true
		}
		if f != nil {
			return expr{}, false
		}
	}
	return expr{}, false
}

// counter implements names.
func (c *compiler) counter(name string) (int, bool) {
	for i, k := range c.l.counters {
		if k.name == name {
			return i, true
		}
	}
	return 0, false
}

// expr compiles an expression of one of the types.
func (c *compiler) expr(n *yaml.Node, what string, types ...typ) expr {
	text := c.text(n, what)
	if c.fault != nil {
		return placeholder()
	}
	e, err := parseExpr(text, c)
	if err != nil {
		c.fail(n, "%s: %q: %v", what, text, err)
		return placeholder()
	}
	for _, t := range types {
		if t == e.t {
			return e
		}
		if t == typeFloat && e.t == typeInt {
			return e.float()
		}
	}
	if len(types) > 0 {
		c.fail(n, "%s: %q is %s, want %s", what, text, e.t, types[0])
		return placeholder()
	}
	return e
}

// placeholder stands for an expression that could not be compiled: nothing runs it.
func placeholder() expr {
	return expr{
		t: typeInt, i: func(*run) int64 { return 0 }, f: func(*run) float64 { return 0 },
		b: func(*run) bool { return false }, s: func(*run) []byte { return nil },
	}
}

// fieldOf finds a field by its name in the present level and those around.
func (c *compiler) fieldOf(n *yaml.Node, what string) *field {
	name := c.text(n, what)
	if e, ok := c.lookup(name); ok && e.field != nil {
		return e.field
	}
	c.fail(n, "%s: %q is no field before this place", what, name)
	return &field{wanted: new(bool), inner: &scope{}}
}

// visible are the members of a level that nothing hides.
func (c *compiler) visible(s *scope, units bool) []member {
	var list []member
	for _, f := range s.order {
		if f.hide {
			continue
		}
		*f.wanted = true
		list = append(list, memberOf(f.name, reference(f), -1, units))
	}
	return list
}

// scaling reads scale, offset and decimals of a number.
func (c *compiler) scaling(o object, f *field) {
	if n := o.get("decimals"); n != nil {
		f.decimals = int(c.integer(n, "decimals", 0, maxPlaces))
	}
	if !o.has("scale") && !o.has("offset") {
		return
	}
	mul, add := decimal{1, 0}, decimal{0, 0}
	quotient := 0.0
	if n := o.get("scale"); n != nil {
		text := c.text(n, "scale")
		var ok bool
		if mul, quotient, ok = parseScale(text); !ok {
			c.fail(n, "scale: got %q, want a positive number such as 0.1, or a quotient such as 1/1800000", text)
		}
	}
	if n := o.get("offset"); n != nil {
		var ok bool
		if add, ok = parseDecimal(c.text(n, "offset")); !ok {
			c.fail(n, "offset: got %s, want a number of at most %d decimals", shown(n), maxPlaces)
		}
	}
	f.typ = typeFloat
	if quotient == 0 && (f.form == formInt || f.form == formUint) && f.decimals < 0 {
		places := max(mul.places, add.places)
		unsigned := f.form == formUint
		f.form = formDecimal
		f.scale = scale{mul: mul.n * pow10(places-mul.places), add: add.n * pow10(places-add.places), places: places}
		f.scale.unsigned = unsigned
		return
	}
	if quotient == 0 {
		quotient = mul.float()
	}
	f.scale = scale{ratio: quotient, offset: add.float(), unsigned: f.form == formUint}
	if f.decimals < 0 {
		f.decimals = 7 // of a coordinate
	}
	switch f.form {
	case formInt, formUint:
		f.form = formRatio
	case formFloat32:
		f.form = formFloat
	}
}

// decimal is n/10^places.
type decimal struct {
	n      int64
	places uint8
}

func (d decimal) float() float64 { return float64(d.n) / float64(pow10(d.places)) }

// maxScale keeps a scaled value of 32 bits exact in 64.
const maxScale = 1 << 30

func parseDecimal(text string) (decimal, bool) {
	whole, part, _ := strings.Cut(text, ".")
	part = strings.TrimRight(part, "0")
	n, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil || len(part) > maxPlaces || n > maxScale || n < -maxScale || strings.ContainsAny(part, "+-") {
		return decimal{}, false
	}
	return decimal{n, uint8(len(part))}, true
}

// parseScale reads a positive decimal, or a quotient of two.
func parseScale(text string) (d decimal, quotient float64, ok bool) {
	above, below, isQuotient := strings.Cut(text, "/")
	if d, ok = parseDecimal(above); !ok || d.n <= 0 || !isQuotient {
		return d, 0, ok && d.n > 0
	}
	under, ok := parseDecimal(below)
	if !ok || under.n <= 0 {
		return d, 0, false
	}
	return d, d.float() / under.float(), true
}

// naming reads enum.
func (c *compiler) naming(o object, f *field) {
	n := o.get("enum")
	if n == nil {
		return
	}
	if o.has("scale") || o.has("offset") {
		c.fail(n, "enum: a number with names has no scale")
	}
	f.form = formEnum
	f.enum, f.enumJSON = map[int64]string{}, map[int64][]byte{}
	for _, e := range c.entries(n, "enum") {
		number, err := strconv.ParseInt(e.name, 0, 64)
		if err != nil {
			c.fail(e.key, "enum: got the key %q, want an integer", e.name)
		}
		f.enum[number] = c.text(e.value, "enum")
		f.enumJSON[number] = quoted(f.enum[number])
	}
}

const nanosPerSecond = 1_000_000_000

// what names a field in errors.
func (o object) label() string {
	if n := o.get("name"); n != nil {
		return fmt.Sprintf("field %q", n.Value)
	}
	return "field"
}
