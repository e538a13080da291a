package layout

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Program is a compiled layout. It is read-only and safe for concurrent use.
type Program struct {
	l          *compiled
	parameters []parameter
	examples   []Example
}

// Example is a case that the layout carries, in the form of the conformance suite.
type Example struct {
	// Name is the example's, distinct within the layout.
	Name string
	// Text is a case file: sections and a dialogue.
	Text string
}

// Compile compiles the source of a layout, YAML or JSON, of at most 256 KiB. The name
// stands in errors. A fault is an [*Error] with its place, the first one in the order of
// compilation.
func Compile(name string, text []byte) (*Program, error) {
	c := &compiler{
		source: source{name: name},
		l: &compiled{
			name: name, ints: map[int64]*messageType{}, texts: map[string]*messageType{}, commands: map[string]*command{},
		},
		repeats: map[*field]*repeatStep{}, sums: map[string]algorithm{},
	}
	c.enter()
	p := &Program{l: c.l}
	if root := c.parse(text); root != nil {
		c.compile(p, root)
	}
	if c.fault != nil {
		return nil, c.fault
	}
	return p, nil
}

// compile reads the parts in an order in which each sees those that it may name.
func (c *compiler) compile(p *Program, root *yaml.Node) {
	o := c.object(root, "layout", keysOfLayout)
	if c.fault != nil {
		return
	}
	if n := o.get("layout"); n == nil {
		c.fail(root, `layout is missing, want "layout: 1", the version of this language`)
	} else {
		c.integer(n, "layout", 1, 1)
	}
	if n := o.get("endian"); n != nil {
		c.little = c.oneOf(n, "endian", "big little") == "little"
	}
	if n := o.get("bits"); n != nil {
		c.lsb = c.oneOf(n, "bits", "msb lsb") == "lsb"
	}
	if n := o.get("parameters"); n != nil {
		p.parameters = c.parameters(n, "parameters")
	}
	c.l.parameters = c.l.slots
	if n := o.get("counters"); n != nil {
		c.counters(n)
	}
	if n := o.get("frame"); n != nil {
		c.l.framing = c.compileFraming(n)
	}
	if n := o.get("envelope"); n != nil {
		c.compileEnvelope(n)
	}
	if n := o.get("malformed"); n != nil && c.fault == nil {
		c.l.malformed = c.template(n, "malformed") // before there are fields: a malformed frame has none
	}
	c.enter()
	c.ends(o)
	c.receiving(o, root)
	c.leave()
	if n := o.get("commands"); n != nil && c.fault == nil {
		for _, e := range c.entries(n, "commands") {
			c.compileCommand(e)
		}
	}
	if n := o.get("examples"); n != nil && c.fault == nil {
		p.examples = c.examples(n)
	}
}

// ends reads what all frames begin and end with.
func (c *compiler) ends(o object) {
	if n := o.get("head"); n != nil {
		c.l.headSteps, _ = c.fields(n, "head")
	}
	if n := o.get("tail"); n != nil {
		c.l.tail, c.l.tailSize = c.fields(n, "tail")
		if c.l.tailSize < 0 {
			c.fail(n, "tail: its fields have no fixed size, so that its begin cannot be found")
		}
	}
	if n := o.get("select"); n != nil {
		e := c.expr(n, "select", typeInt, typeText)
		c.l.on = &e
	}
	if n := o.get("identity"); n != nil {
		e := c.expr(n, "identity", typeText)
		c.l.identity = &e
	}
}

// receiving reads the message types.
func (c *compiler) receiving(o object, root *yaml.Node) {
	n := o.get("messages")
	if n == nil {
		c.fail(root, "messages are missing")
		return
	}
	entries := c.entries(n, "messages")
	if len(entries) == 0 || len(entries) > maxList {
		c.fail(n, "messages: has %d members, want 1 to %d", len(entries), maxList)
	}
	if c.l.common = c.l.slots; certain(c.l.headSteps) && certain(c.l.tail) {
		c.l.common = c.l.parameters
	}
	for _, e := range entries {
		if c.fault == nil {
			c.compileMessage(e)
		}
	}
}

// New makes a codec; it is a codec.Factory. The options are values of the parameters
// that the layout declares. Faults are [*codec.OptionError].
func (p *Program) New(options json.RawMessage) (codec.Codec, error) {
	given := map[string]json.RawMessage{}
	if err := codec.DecodeOptions(options, &given); err != nil {
		return nil, err
	}
	c := &layoutCodec{l: p.l, parameters: make([]cell, p.l.parameters)}
	object, err := json.Marshal(given)
	if err != nil {
		return nil, codec.Optionf("", "%v", err)
	}
	if f := fill(p.parameters, object, c.parameters); f != nil {
		pointer := ""
		if f.name != "" {
			pointer = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(f.name)
		}
		return nil, codec.Optionf(pointer, "%s", f.reason)
	}
	return c, nil
}

// Close releases nothing: a layout holds memory only. It is there because other kinds
// of plugins do.
func (p *Program) Close() error { return nil }

// Examples returns the examples of the layout as case files, in the order written.
func (p *Program) Examples() []Example { return append([]Example(nil), p.examples...) }

// layoutCodec begins dialogues.
type layoutCodec struct {
	l          *compiled
	parameters []cell
}

// Begin implements codec.Codec. Where the layout has a framing, the dialogue is a
// codec.Framer.
func (c *layoutCodec) Begin(peer codec.Peer) (codec.Dialogue, error) {
	d := &dialogue{l: c.l, run: newRun(c.l), parameters: c.parameters, datagram: peer.Datagram()}
	copy(d.run.cells, c.parameters)
	if c.l.framing == nil {
		return d, nil
	}
	return framed{d}, nil
}

// examples reads the cases of the layout.
func (c *compiler) examples(n *yaml.Node) []Example {
	var all []Example
	names := map[string]bool{}
	for i, e := range c.list(n, "examples", maxList) {
		o := c.object(e, "example", keysOfExample)
		if c.fault != nil {
			return nil
		}
		x := Example{Name: fmt.Sprintf("example %d", i+1)}
		if v := o.get("name"); v != nil {
			x.Name = c.text(v, "name")
		}
		if names[x.Name] {
			c.fail(e, "example: the name %q is given twice", x.Name)
		}
		names[x.Name] = true
		x.Text = c.example(o, x.Name)
		all = append(all, x)
	}
	return all
}

func (c *compiler) example(o object, name string) string {
	var b strings.Builder
	b.WriteString(name + "\n")
	section := func(name, text string) { fmt.Fprintf(&b, "-- %s --\n%s\n", name, strings.TrimRight(text, "\n")) }
	if n := o.get("options"); n != nil {
		section("options.json", string(c.json(n, 0)))
	}
	udp := false
	if n := o.get("transport"); n != nil {
		udp = c.oneOf(n, "transport", "tcp udp") == "udp"
		section("transport", n.Value)
	}
	switch n := o.get("frame"); {
	case n != nil:
		section("frame", string(c.json(n, 0)))
	case c.l.framing == nil && !udp:
		section("frame", `{"type": "none"}`) // each input is a frame
	}
	switch {
	case o.has("dialogue") == o.has("hex"):
		c.fail(o.at, "example: want either dialogue, or hex and messages")
	case o.has("dialogue"):
		text := c.text(o.get("dialogue"), "dialogue")
		if strings.Contains("\n"+text, "\n-- ") {
			c.fail(o.get("dialogue"), "dialogue: a line begins with --, as a section does")
		}
		section("dialogue", text)
	default:
		section("dialogue", c.exchange(o))
	}
	return b.String()
}

// exchange writes the short form of an example, a frame and what it leads to, as the
// lines of a dialogue.
func (c *compiler) exchange(o object) string {
	bytes := func(key, word string) string {
		n := o.get(key)
		if n == nil {
			return ""
		}
		return fmt.Sprintf("%s %x\n", word, c.hex(n, key, 1, maxFrame))
	}
	lines := bytes("hex", ">")
	if n := o.get("identity"); n != nil {
		lines += "@ " + string(c.json(n, 0)) + "\n"
	}
	lines += bytes("reply", "<")
	if n := o.get("messages"); n != nil {
		for _, m := range c.list(n, "messages", maxList) {
			lines += "= " + string(c.json(m, 0)) + "\n"
		}
	}
	return lines + bytes("ack", "<<") + bytes("nak", "<!")
}
