package layout

import (
	"bytes"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// member is one member of a JSON object.
type member struct {
	// key is `,"name":`; the first member leaves the comma out.
	key      []byte
	e        expr
	decimals int
	// slot is that of a plain field, or -1.
	slot int
	// yes and no are the key with a truth value.
	yes, no []byte
	// unit is `,"unit":"..."}` where the value is written with its unit.
	unit []byte
}

func memberOf(name string, e expr, decimals int, units bool) member {
	m := member{key: append(append([]byte{','}, quoted(name)...), ':'), e: e, decimals: decimals, slot: -1}
	if e.field != nil {
		m.slot = e.field.slot
	}
	if m.slot >= 0 && e.t == typeBool {
		m.yes, m.no = append(bytes.Clone(m.key), "true"...), append(bytes.Clone(m.key), "false"...)
	}
	if units && e.field != nil && e.field.unit != "" {
		m.unit = append(append([]byte(`,"unit":`), quoted(e.field.unit)...), '}')
	}
	return m
}

// object appends an object. Fields that the frame does not have are left out.
func (r *run) object(dst []byte, members []member) []byte {
	dst = append(dst, '{')
	cells := r.cells
	comma := 1 // the first member has none
	for i := range members {
		m := &members[i]
		var c *cell
		if m.slot >= 0 {
			if c = &cells[m.slot]; c.def == nil {
				continue
			}
		}
		if m.yes != nil {
			key := m.yes
			if c.n == 0 {
				key = m.no
			}
			dst = append(dst, key[comma:]...)
			comma = 0
			continue
		}
		dst = append(dst, m.key[comma:]...)
		comma = 0
		if m.unit != nil {
			dst = append(dst, `{"value":`...)
		}
		if c != nil {
			dst = c.appendJSON(dst)
		} else {
			dst = r.appendJSON(dst, &m.e, m.decimals)
		}
		if m.unit != nil {
			dst = append(dst, m.unit...)
		}
	}
	return append(dst, '}')
}

// messageSpec says what message is made.
type messageSpec struct {
	// when is the condition, or nil.
	when    func(*run) bool
	device  *expr
	time    *field
	members []member
	// bytes is the field whose bytes are the body, where it is not JSON.
	bytes                        *field
	contentType, contentEncoding string
	properties                   []property
}

// property is an application property; fixed where it is written in the layout.
type property struct {
	name  string
	value expr
}

// emit adds the message to the outcome.
func (m *messageSpec) emit(r *run) error {
	if m.when != nil && !m.when(r) {
		return r.fault
	}
	if len(r.out.Messages) >= maxMessages {
		return fmt.Errorf("layout %s: more than %d messages of a frame: %w", r.layout.name, maxMessages, codec.ErrBroken)
	}
	out := r.out.Add()
	out.ContentType, out.ContentEncoding = m.contentType, m.contentEncoding
	if m.bytes != nil {
		c := &r.cells[m.bytes.slot]
		out.Body = r.frame[c.off : c.off+c.len : c.off+c.len]
	} else {
		from := len(r.out.Scratch)
		r.out.Scratch = r.object(r.out.Scratch, m.members)
		out.Body = r.out.Scratch[from:len(r.out.Scratch):len(r.out.Scratch)]
		if err := r.spend(len(out.Body)); err != nil {
			return err
		}
	}
	if m.time != nil {
		if c := &r.cells[m.time.slot]; c.def != nil {
			out.Time = time.Unix(0, c.n).UTC()
		}
	}
	if m.device != nil {
		out.Device = r.string(m.device)
	}
	for i := range m.properties {
		p := &m.properties[i]
		if r.present(&p.value) {
			out.Set(p.name, r.string(&p.value))
		}
	}
	return r.fault
}

// string is the value of an expression as a string that outlives the frame.
func (r *run) string(e *expr) string {
	if e.word != nil {
		return e.word(r)
	}
	if e.field != nil && e.field.enum != nil {
		if c := &r.cells[e.field.slot]; c.def != nil {
			if name, ok := c.def.enum[c.n]; ok {
				return name
			}
		}
	}
	return r.strings.Of(r.textOf(e))
}
