package layout

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxTraced fields of one frame are more than anybody reads.
const maxTraced = 4096

// trace collects the ranges of a frame for people.
type trace struct {
	fields []codec.Field
	path   []string
}

func (t *trace) enter(name string) { t.path = append(t.path, name) }
func (t *trace) leave()            { t.path = t.path[:len(t.path)-1] }

func (t *trace) add(off, n int, name, shown string) {
	if len(t.fields) >= maxTraced || name == "" {
		return
	}
	if len(t.path) > 0 {
		name = strings.Join(t.path, ".") + "." + name
	}
	t.fields = append(t.fields, codec.Field{Offset: off, Len: n, Name: name, Value: shown})
}

// show adds a field that was just read.
func (r *run) show(f *field) {
	c := &r.cells[f.slot]
	if c.def != nil {
		r.trace.add(c.off, c.len, f.name, r.shown(f))
	}
}

// shown is the value of a field for people, with its unit.
func (r *run) shown(f *field) string {
	c := &r.cells[f.slot]
	if c.def == nil {
		return ""
	}
	text := string(c.appendPlain(nil))
	const most = 256
	if len(text) > most {
		text = text[:most] + "..."
	}
	if f.unit != "" {
		text += " " + f.unit
	}
	return text
}

// explain decodes a frame for the names of its parts; what cannot be decoded is
// left out.
func (l *compiled) explain(frame []byte, parameters []cell, device string) []codec.Field {
	r := newRun(l)
	copy(r.cells, parameters)
	r.trace, r.out = &trace{}, &codec.Outcome{}
	r.is(device)
	r.begin(frame, time.Time{})
	if m, err := r.head(); err == nil && m != nil {
		_ = r.body(m) // what was found until then is shown
	}
	list := r.trace.fields
	slices.SortStableFunc(list, func(a, b codec.Field) int { return cmp.Compare(a.Offset, b.Offset) })
	return list
}
