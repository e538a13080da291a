package layout

import (
	"fmt"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

const (
	// baseBudget and budgetPerByte bound the work on one frame: each step of the
	// layout and each byte written costs one. A record of ten bytes that becomes a
	// message of 200 bytes uses a third of it.
	baseBudget    = 1 << 20
	budgetPerByte = 64
	// maxMessages of one frame is above what a tracker keeps for one packet.
	maxMessages = 4096
)

// run is the decoding of one frame: the values so far, and where it stands.
type run struct {
	layout *compiled
	frame  []byte
	// pos is the next byte, end the end of the part that is being decoded.
	pos, end int
	cells    []cell
	// json are finished values of repeats and groups, aux texts that are not in the frame.
	json, aux []byte
	budget    int
	fault     error
	// index is the element of the innermost repeat.
	index int64
	// now is when the frame came.
	now time.Time
	// device is the link's device, if it is known; deviceText the same for expressions.
	device     string
	deviceText []byte
	counters   []int64
	out        *codec.Outcome
	strings    value.Strings
	marks      []int
	coder      coders
	// trace collects what Explain shows; nil otherwise.
	trace *trace
}

func newRun(l *compiled) *run {
	r := &run{
		layout: l, cells: make([]cell, l.slots),
		counters: make([]int64, len(l.counters)), marks: make([]int, maxParts+1),
	}
	for i, c := range l.counters {
		r.counters[i] = c.from
	}
	return r
}

// is says which device the link speaks with.
func (r *run) is(device string) { r.device, r.deviceText = device, []byte(device) }

// begin forgets the frame before.
func (r *run) begin(f []byte, at time.Time) {
	r.frame, r.pos, r.end, r.now = f, 0, len(f), at
	r.json, r.aux, r.fault, r.index = kept(r.json), kept(r.aux), nil, 0
	r.budget = baseBudget + budgetPerByte*len(f)
	r.forget(r.layout.parameters, r.layout.common) // those of a message type when it is known
}

// seconds is the time of the frame, or 0 where nothing has told the time yet.
func (r *run) seconds() int64 {
	if r.now.IsZero() {
		return 0
	}
	return r.now.Unix()
}

// maxKept is the memory that a link keeps of a frame for the next one.
const maxKept = 64 << 10

func kept(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// forget empties the cells from a slot up to another.
func (r *run) forget(from, to int) {
	for i := from; i < to; i++ {
		c := &r.cells[i]
		c.def, c.n, c.f, c.b = nil, 0, 0, nil
	}
}

// steps decodes a list of steps.
func (r *run) steps(list []step) error {
	for _, s := range list {
		if r.budget--; r.budget < 0 {
			return r.exhausted()
		}
		if err := s.decode(r); err != nil {
			return err
		}
	}
	return nil
}

// spend takes the cost of bytes off the budget.
func (r *run) spend(n int) error {
	if r.budget -= n; r.budget < 0 {
		return r.exhausted()
	}
	return nil
}

func (r *run) exhausted() error {
	err := fmt.Errorf("layout %s: a frame of %d bytes needs more than %d steps: %w",
		r.layout.name, len(r.frame), baseBudget+budgetPerByte*len(r.frame), codec.ErrBroken)
	r.fault = err
	return err
}

// malformed makes the error of a frame that the device got wrong.
func (r *run) malformed(format string, args ...any) error {
	return fmt.Errorf("layout %s: %s: %w", r.layout.name, fmt.Sprintf(format, args...), codec.ErrMalformed)
}

// short is the error of a part that ends too early.
func (r *run) short(f *field, n int) error {
	return r.malformed("%s needs %d bytes at offset %d, %d are left", f.label(), n, r.pos, r.end-r.pos)
}

// label is a field's name for people.
func (f *field) label() string {
	if f.name == "" {
		return "a field without a name"
	}
	return fmt.Sprintf("field %q", f.name)
}

// set returns the cell of a field, with the range that it was read from.
func (r *run) set(f *field, off, n int) *cell {
	c := &r.cells[f.slot]
	c.def, c.off, c.len = f, off, n
	return c
}

// keep writes bytes into memory that lives as long as the frame.
func (r *run) keep(parts ...[]byte) []byte {
	from := len(r.aux)
	for _, p := range parts {
		if r.spend(len(p)) != nil {
			return nil
		}
		r.aux = append(r.aux, p...)
	}
	return r.aux[from:len(r.aux):len(r.aux)]
}

// divide is a quotient or a remainder; by zero is a fault of the frame.
func (r *run) divide(a, b int64, remainder bool) int64 {
	switch {
	case b == 0:
		r.fail(r.malformed("division by zero"))
		return 0
	case b == -1: // the smallest integer has no opposite
		if remainder {
			return 0
		}
		return -a
	case remainder:
		return a % b
	}
	return a / b
}

// fail keeps the first fault of an expression.
func (r *run) fail(err error) {
	if r.fault == nil {
		r.fault = err
	}
}

// textOf is a value as text.
func (r *run) textOf(e *expr) []byte {
	if e.t == typeText {
		return e.s(r)
	}
	from := len(r.aux)
	r.aux = r.appendPlain(r.aux, e, -1)
	if r.spend(len(r.aux)-from) != nil {
		return nil
	}
	return r.aux[from:len(r.aux):len(r.aux)]
}

// count returns the number of a counter and moves it on.
func (r *run) count(i int) int64 {
	v := r.counters[i]
	if r.trace != nil {
		return v // explaining changes nothing
	}
	if r.counters[i]++; r.counters[i] > r.layout.counters[i].to {
		r.counters[i] = r.layout.counters[i].from
	}
	return v
}

// present reports whether an expression has a value: a plain field may have none.
func (r *run) present(e *expr) bool {
	return e.field == nil || r.cells[e.field.slot].def != nil
}

// appendPlain appends the value of an expression without quotes.
func (r *run) appendPlain(dst []byte, e *expr, decimals int) []byte {
	switch {
	case e.field != nil:
		if c := &r.cells[e.field.slot]; c.def != nil {
			return c.appendPlain(dst)
		}
		return dst
	case e.t == typeText:
		return append(dst, e.s(r)...)
	}
	return r.appendJSON(dst, e, decimals)
}

// appendJSON appends the value of an expression.
func (r *run) appendJSON(dst []byte, e *expr, decimals int) []byte {
	if e.field != nil {
		if c := &r.cells[e.field.slot]; c.def != nil {
			return c.appendJSON(dst)
		}
		return append(dst, "null"...)
	}
	switch e.t {
	case typeInt:
		return strconv.AppendInt(dst, e.i(r), 10)
	case typeFloat:
		return appendFloat(dst, e.f(r), decimals, 64)
	case typeText:
		return value.AppendString(dst, e.s(r))
	}
	if e.b(r) {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}
