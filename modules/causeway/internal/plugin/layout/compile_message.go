package layout

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// messageType is one kind of frame that devices send.
type messageType struct {
	name string
	// needsLogin refuses it before the device has named itself.
	needsLogin bool
	steps      []step
	// from and to are its slots.
	from, to int
	// strict refuses bytes that no field describes.
	strict  bool
	scope   *scope
	login   *login
	emit    []*messageSpec
	reply   *template
	ack     *template
	nak     *template
	closing string
	answers []*command
}

// login is how a device names itself.
type login struct {
	device, secret *expr
	accept, refuse *template
}

// compileMessage reads one message type; its name is that of the entry.
func (c *compiler) compileMessage(e entry) {
	o := c.object(e.value, "message "+e.name, keysOfMessage)
	m := &messageType{name: c.name(e.key, "message"), strict: true}
	m.scope, m.from = c.enter(), c.l.slots
	defer c.leave()
	if n := o.get("needs_login"); n != nil {
		m.needsLogin = c.boolean(n, "needs_login")
	}
	if n := o.get("extra"); n != nil {
		m.strict = c.oneOf(n, "extra", "malformed ignore") == "malformed"
	}
	if n := o.get("fields"); n != nil {
		m.steps, _ = c.fields(n, "fields")
	}
	if n := o.get("login"); n != nil && c.fault == nil {
		m.login = c.compileLogin(n)
	}
	if n := o.get("message"); n != nil && c.fault == nil {
		specs := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			specs = c.list(n, "message", maxParts)
		}
		for _, s := range specs {
			c.compileSpec(m, s)
		}
	}
	for key, t := range map[string]**template{"reply": &m.reply, "ack": &m.ack, "nak": &m.nak} {
		if n := o.get(key); n != nil && c.fault == nil {
			*t = c.template(n, key)
		}
	}
	if n := o.get("close"); n != nil {
		m.closing = c.text(n, "close")
	}
	if m.to = c.l.slots; certain(m.steps) {
		m.to = m.from
	}
	c.l.messages = append(c.l.messages, m)
	c.choose(o, e, m)
}

// choose enters the message under the values of the discriminator.
func (c *compiler) choose(o object, e entry, m *messageType) {
	is := o.get("is")
	switch {
	case is == nil && c.l.other != nil:
		c.fail(e.key, "message %s: is is missing, as it is in %s; only one message takes what is left", e.name,
			c.l.other.name)
	case is == nil:
		c.l.other = m
	case c.l.on == nil:
		c.fail(is, "is: the layout has no select, which says what is compared")
	default:
		values := []*yaml.Node{is}
		if is.Kind == yaml.SequenceNode {
			values = c.list(is, "is", maxList)
		}
		for _, v := range values {
			c.chooseOne(v, m)
		}
	}
}

func (c *compiler) chooseOne(v *yaml.Node, m *messageType) {
	if c.l.on.t == typeText {
		text := c.text(v, "is")
		if c.l.texts[text] != nil {
			c.fail(v, "is: %q is that of message %s", text, c.l.texts[text].name)
		}
		c.l.texts[text] = m
		return
	}
	number := c.code(v, "is", c.l.on.field)
	if c.l.ints[number] != nil {
		c.fail(v, "is: %s is that of message %s", v.Value, c.l.ints[number].name)
	}
	c.l.ints[number] = m
	if number >= 0 && number < int64(len(c.l.small)) {
		c.l.small[number] = m
	}
}

func (c *compiler) compileLogin(n *yaml.Node) *login {
	o := c.object(n, "login", keysOfLogin)
	l := &login{}
	if d := o.get("device"); d != nil {
		e := c.expr(d, "device", typeText)
		l.device = &e
	} else {
		c.fail(n, "login: device is missing, want a text such as the name of a field")
	}
	if s := o.get("secret"); s != nil {
		e := c.expr(s, "secret", typeText)
		l.secret = &e
	}
	if t := o.get("accept"); t != nil && c.fault == nil {
		l.accept = c.template(t, "accept")
	}
	if t := o.get("refuse"); t != nil && c.fault == nil {
		l.refuse = c.template(t, "refuse")
	}
	return l
}

// compileSpec reads what message for the hub is made of a message type.
func (c *compiler) compileSpec(m *messageType, n *yaml.Node) {
	o := c.object(n, "message", keysOfSpec)
	s := &messageSpec{contentType: "application/json", contentEncoding: "utf-8"}
	shown := m.scope
	if each := o.get("each"); each != nil {
		r := c.repeats[c.fieldOf(each, "each")]
		if r == nil {
			c.fail(each, "each: %q is no repeat", each.Value)
			return
		}
		outer := c.scope
		c.scope, shown = r.f.inner, r.f.inner
		defer func() { c.scope = outer }()
		if r.emit != nil {
			c.fail(each, "each: %q makes messages already", each.Value)
		}
		r.emit = s
	} else {
		m.emit = append(m.emit, s)
	}
	if w := o.get("when"); w != nil {
		s.when = c.expr(w, "when", typeBool).b
	}
	if d := o.get("device"); d != nil {
		e := c.expr(d, "device", typeText)
		s.device = &e
	}
	if t := o.get("time"); t != nil {
		if s.time = c.fieldOf(t, "time"); s.time.form != formTime && c.fault == nil {
			c.fail(t, "time: %q is no field of type time", t.Value)
		}
	}
	c.content(o, s, shown)
	if p := o.get("properties"); p != nil {
		c.properties(p, s)
	}
}

// content reads what the body is.
func (c *compiler) content(o object, s *messageSpec, level *scope) {
	if b := o.get("bytes"); b != nil {
		if o.has("body") || o.has("units") {
			c.fail(b, "bytes: got it together with body or units")
		}
		s.bytes = c.fieldOf(b, "bytes")
		s.contentType, s.contentEncoding = "", ""
		if t := o.get("content_type"); t != nil {
			s.contentType = c.text(t, "content_type")
		}
		if t := o.get("content_encoding"); t != nil {
			s.contentEncoding = c.text(t, "content_encoding")
		}
		return
	}
	if o.has("content_type") || o.has("content_encoding") {
		c.fail(o.at, "message: content_type and content_encoding belong to bytes; a body is JSON")
	}
	units := false
	if n := o.get("units"); n != nil {
		units = c.boolean(n, "units")
	}
	if b := o.get("body"); b != nil {
		s.members = c.body(b, "body", units)
		return
	}
	s.members = c.visible(level, units)
}

// body reads the members of an object: a list of names, or an object of expressions.
func (c *compiler) body(n *yaml.Node, what string, units bool) []member {
	var list []member
	if n.Kind == yaml.SequenceNode {
		seen := map[string]bool{}
		for _, e := range c.list(n, what, maxList) {
			f := c.fieldOf(e, what)
			if seen[f.name] {
				c.fail(e, "%s: %q is given twice", what, f.name)
			}
			seen[f.name] = true
			*f.wanted = true
			list = append(list, memberOf(f.name, reference(f), -1, units))
		}
		return list
	}
	for _, e := range c.entries(n, what) {
		value, decimals := e.value, -1
		if value.Kind == yaml.MappingNode {
			o := c.object(value, e.name, keysOfMember)
			if d := o.get("decimals"); d != nil {
				decimals = int(c.integer(d, "decimals", 0, maxPlaces))
			}
			if value = o.get("value"); value == nil {
				c.fail(e.value, "%s: value is missing", e.name)
				return nil
			}
		}
		x := c.expr(value, e.name)
		if x.field != nil {
			*x.field.wanted = true
		} else if x.t == typeNone {
			c.fail(value, "%s: has no value", e.name)
		}
		list = append(list, memberOf(e.name, x, decimals, units))
	}
	return list
}

func (c *compiler) properties(n *yaml.Node, s *messageSpec) {
	const most = 16
	names := map[string]string{}
	for _, e := range c.entries(n, "properties") {
		names[e.name] = ""
		x := c.expr(e.value, e.name)
		if x.t == typeNone {
			c.fail(e.value, "%s: a list or a group is no property", e.name)
		}
		s.properties = append(s.properties, property{e.name, x})
	}
	if err := value.CheckProperties("properties", names, most); err != nil {
		c.fail(n, "%s", err.Error())
	}
}

// command is an order that the layout can put into bytes.
type command struct {
	name       string
	parameters []parameter
	send       *template
	// answer is the message that answers, or nil.
	answer *messageType
	when   func(*run) bool
	// key and answerKey tell several commands that wait from each other.
	key, answerKey func(*run) int64
	// keyField is the key as the template names it.
	keyField *field
	ok       func(*run) bool
	failure  *expr
	result   []member
	timeout  time.Duration
}

const (
	// usualTimeout is that of the gateway's own commands over mobile networks.
	usualTimeout = 60
	maxTimeout   = 600
)

// compileCommand reads one command.
func (c *compiler) compileCommand(e entry) {
	o := c.object(e.value, "command "+e.name, keysOfCommand)
	k := &command{name: c.text(e.key, "command"), timeout: usualTimeout * time.Second}
	c.enter()
	if n := o.get("payload"); n != nil {
		k.parameters = c.parameters(n, "payload")
	}
	if n := o.get("key"); n != nil {
		k.key = c.expr(n, "key", typeInt).i
		k.keyField = &field{name: "key", slot: c.l.slots, typ: typeInt, decimals: -1, wanted: new(bool)}
		c.register(n, k.keyField)
	}
	if n := o.get("send"); n != nil {
		k.send = c.template(n, "send")
	} else {
		c.fail(e.key, "command %s: send is missing", e.name)
	}
	c.leave()
	if n := o.get("timeout"); n != nil {
		k.timeout = time.Duration(c.integer(n, "timeout", 1, maxTimeout)) * time.Second
	}
	if n := o.get("answer"); n != nil && c.fault == nil {
		c.answer(k, n)
	}
	c.l.commands[k.name] = k
}

func (c *compiler) answer(k *command, n *yaml.Node) {
	o := c.object(n, "answer", keysOfAnswer)
	name := o.get("message")
	if name == nil {
		c.fail(n, "answer: message is missing, want the name of a message")
		return
	}
	for _, m := range c.l.messages {
		if m.name == name.Value {
			k.answer = m
		}
	}
	if k.answer == nil {
		c.fail(name, "message: %q is no message of this layout", name.Value)
		return
	}
	k.answer.answers = append(k.answer.answers, k)
	outer := c.scope
	c.scope = k.answer.scope
	defer func() { c.scope = outer }()
	if w := o.get("when"); w != nil {
		k.when = c.expr(w, "when", typeBool).b
	}
	if w := o.get("key"); w != nil {
		k.answerKey = c.expr(w, "key", typeInt).i
	}
	if (k.key == nil) != (k.answerKey == nil) {
		c.fail(n, "answer: key has to be given both in the command and in its answer")
	}
	if w := o.get("ok"); w != nil {
		k.ok = c.expr(w, "ok", typeBool).b
	}
	if w := o.get("error"); w != nil {
		x := c.interpolated(w)
		k.failure = &x
	}
	if w := o.get("result"); w != nil {
		k.result = c.body(w, "result", false)
	}
}

// counters reads numbers that each use moves on.
func (c *compiler) counters(n *yaml.Node) {
	for _, e := range c.entries(n, "counters") {
		o := c.object(e.value, e.name, keysOfCounter)
		k := counter{name: c.name(e.key, "counters"), to: 1<<16 - 1}
		if v := o.get("from"); v != nil {
			k.from = c.integer(v, "from", 0, 1<<32)
		}
		if v := o.get("to"); v != nil {
			k.to = c.integer(v, "to", k.from, 1<<32)
		}
		c.l.counters = append(c.l.counters, k)
	}
	const most = 16
	if len(c.l.counters) > most {
		c.fail(n, "counters: has %s members, at most %d are allowed", strconv.Itoa(len(c.l.counters)), most)
	}
}
