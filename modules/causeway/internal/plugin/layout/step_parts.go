package layout

import "fmt"

// repeatStep decodes a part again and again.
type repeatStep struct {
	f *field
	// count says how often; nil is until the end of what is being decoded.
	count func(*run) int64
	steps []step
	// fused is the only step of many repeats.
	fused *fusedStep
	// element is the one value of an element that is no object.
	element *field
	// from and to are the slots of an element.
	from, to int
	// members are written for an element.
	members []member
	// emit makes a message of each element, where it is set.
	emit *messageSpec
}

func (s *repeatStep) decode(r *run) error {
	n := int64(-1)
	if s.count != nil {
		if n = s.count(r); n < 0 {
			return r.malformed("%s: a count of %d", s.f.label(), n)
		}
	}
	outer, start := r.index, r.pos
	array := len(r.json)
	if *s.f.wanted {
		r.json = append(r.json, '[')
	}
	for i := int64(0); n < 0 && r.pos < r.end || i < n; i++ {
		if r.trace != nil {
			r.trace.enter(fmt.Sprintf("%s[%d]", s.f.name, i))
		}
		if err := s.one(r, i); err != nil {
			return err
		}
		if r.trace != nil {
			r.trace.leave()
		}
	}
	r.index = outer
	c := r.set(s.f, start, r.pos-start)
	if *s.f.wanted {
		r.json = append(r.json, ']')
		c.b = r.json[array:len(r.json):len(r.json)]
	}
	return nil
}

// one decodes one element. What its parts left in r.json is moved out of the way,
// so that the elements stand in a row.
func (s *repeatStep) one(r *run, i int64) error {
	r.index = i
	r.forget(s.from, s.to)
	before, mark := r.pos, len(r.json)
	if s.fused != nil {
		if err := s.fused.decode(r); err != nil {
			return err
		}
	} else if err := r.steps(s.steps); err != nil {
		return err
	}
	if r.pos == before {
		return r.malformed("%s: element %d takes no bytes", s.f.label(), i)
	}
	if s.emit != nil && r.trace == nil {
		if err := s.emit.emit(r); err != nil {
			return err
		}
	}
	if !*s.f.wanted {
		r.json = r.json[:mark]
		return nil
	}
	from := len(r.json)
	if i > 0 {
		r.json = append(r.json, ',')
	}
	if s.element != nil {
		r.json = r.cells[s.element.slot].appendJSON(r.json)
	} else {
		r.json = r.object(r.json, s.members)
	}
	written := len(r.json) - from
	copy(r.json[mark:], r.json[from:])
	r.json = r.json[:mark+written]
	return r.spend(written)
}

// groupStep decodes a part that is shown as an object of its own, or that has a
// length of its own.
type groupStep struct {
	f       *field
	size    *sizing
	steps   []step
	members []member
}

func (s *groupStep) decode(r *run) error {
	start, end := r.pos, r.end
	after := -1
	if s.size != nil {
		b, err := s.size.take(r, s.f)
		if err != nil {
			return err
		}
		after = r.pos
		r.pos, r.end = b.from, b.to
	}
	if r.trace != nil && s.f.name != "" {
		r.trace.enter(s.f.name)
		defer r.trace.leave()
	}
	if err := r.steps(s.steps); err != nil {
		return err
	}
	if after >= 0 {
		r.pos, r.end = after, end
	}
	c := r.set(s.f, start, r.pos-start)
	if !*s.f.wanted {
		return nil
	}
	from := len(r.json)
	r.json = r.object(r.json, s.members)
	c.b = r.json[from:len(r.json):len(r.json)]
	return r.spend(len(c.b))
}

// cases are parts chosen by a value.
type cases struct {
	ints  map[int64][]step
	texts map[string][]step
	other []step
	// strict refuses a value without a case.
	strict bool
}

func (c *cases) find(r *run, on *expr) (list []step, ok bool) {
	if on.t == typeText {
		list, ok = c.texts[string(on.s(r))]
	} else {
		list, ok = c.ints[on.i(r)]
	}
	if !ok {
		return c.other, !c.strict
	}
	return list, true
}

// switchStep decodes the part that a value chooses.
type switchStep struct {
	on    expr
	cases cases
}

func (s *switchStep) decode(r *run) error {
	list, ok := s.cases.find(r, &s.on)
	if !ok {
		return r.malformed("no case for %s at offset %d", string(r.appendPlain(nil, &s.on, -1)), r.pos)
	}
	return r.steps(list)
}

// tlvStep decodes items of tag, length and value until the end.
type tlvStep struct {
	tag field
	// tagWord and lengthWord are how they stand in the frame; a length of 0 bytes
	// says that the tag alone decides.
	tagWord, lengthWord word
	// adjust is added to the length that the frame says.
	adjust int64
	cases  cases
}

func (s *tlvStep) decode(r *run) error {
	end := r.end
	defer func() { r.end = end }()
	for r.pos < end {
		if err := s.item(r, end); err != nil {
			return err
		}
		r.end = end
	}
	return nil
}

func (s *tlvStep) item(r *run, end int) error {
	if r.budget--; r.budget < 0 {
		return r.exhausted()
	}
	if end-r.pos < s.tagWord.size+s.lengthWord.size {
		return r.short(&s.tag, s.tagWord.size+s.lengthWord.size)
	}
	tag := int64(s.tagWord.read(r.frame[r.pos:end]))
	list, known := s.cases.ints[tag]
	if !known {
		list = s.cases.other
		if s.cases.strict || s.lengthWord.size == 0 {
			return r.malformed("no case for tag %d (0x%x) at offset %d", tag, tag, r.pos)
		}
	}
	head, size := r.pos, -1
	r.pos += s.tagWord.size
	if s.lengthWord.size > 0 {
		length := s.lengthWord.read(r.frame[r.pos:end])
		r.pos += s.lengthWord.size
		if length > uint64(end) || int64(length)+s.adjust < 0 || int64(length)+s.adjust > int64(end-r.pos) {
			return r.malformed("tag %d (0x%x) at offset %d has a length of %d, %d bytes are left",
				tag, tag, head, length, end-r.pos)
		}
		size = int(int64(length) + s.adjust)
		r.end = r.pos + size
	}
	if r.trace != nil {
		r.trace.add(head, r.pos-head, "tag", fmt.Sprintf("0x%x", tag))
	}
	if err := r.steps(list); err != nil {
		return err
	}
	if size >= 0 {
		r.pos = r.end // what a newer device adds to an item is passed over
	}
	return nil
}
