package meter

import (
	"bytes"
	"fmt"
	"strings"
)

// The names under which the rewritten module exports its counters: an i64 and an i32.
const (
	FuelExport  = "causeway.fuel"
	StackExport = "causeway.stack"
)

const (
	// maxModule is ten times what the Go compiler makes of a small codec.
	maxModule = 1 << 25
	// maxTable bounds the table of functions for indirect calls.
	maxTable = 1 << 17
	pageSize = 1 << 16
	// nameSection is the custom section with the names of functions, for traces. Other
	// custom sections are dropped: what debuggers read holds addresses, which move.
	nameSection = "name"
)

// Limits are what a module gets.
type Limits struct {
	// Fuel is what is there while it starts. The host sets it anew for each call.
	Fuel int64
	// Stack is the size of the stack in bytes, estimated.
	Stack int32
	// MemoryBytes is the most memory, rounded down to pages of 64 KiB.
	MemoryBytes int64
	// Import says which functions may be imported; nil for none.
	Import func(module, name string) bool
}

// Module is a rewritten module.
type Module struct {
	// Code is the binary.
	Code []byte
	// Sections are its custom sections with the prefix given, in their order; the
	// prefix is cut off.
	Sections []Section
}

// Section is a custom section.
type Section struct {
	Name string
	Data []byte
}

// module is one while it is rewritten.
type module struct {
	limits  Limits
	types   []funcType
	extra   map[uint32][]byte // block types that were added, by the type whose results they have
	added   []byte            // types that are added
	imports []uint32          // types of imported functions
	funcs   []uint32          // types of functions
	globals uint32
	out     Module
	prefix  string
	names   []byte // the custom section, as it was
}

type funcType struct {
	index   uint32
	params  uint32
	results []byte
}

func (m *module) fuelGlobal() uint32  { return m.globals }
func (m *module) stackGlobal() uint32 { return m.globals + 1 }

// Rewrite meters a module and collects its custom sections whose names begin with
// prefix. Errors wrap ErrModule and say what is wrong.
func Rewrite(code []byte, limits Limits, prefix string) (*Module, error) {
	if len(code) > maxModule {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(code), maxModule, ErrModule)
	}
	if !bytes.HasPrefix(code, header()) {
		return nil, fmt.Errorf("does not begin with \\0asm and version 1: %w", ErrModule)
	}
	m := &module{limits: limits, prefix: prefix, extra: map[uint32][]byte{}}
	r := &reader{b: code, at: len(header())}
	sections, err := m.split(r)
	if err != nil {
		return nil, err
	}
	if err := m.survey(sections); err != nil {
		return nil, err
	}
	if err := m.rewrite(sections); err != nil {
		return nil, err
	}
	return &m.out, nil
}

// section ids in the order in which a module has them.
func order() []byte { return []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11} }

const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionCode     = 10
)

// split cuts the module into sections. Custom sections are taken out.
func (m *module) split(r *reader) (map[byte]*reader, error) {
	sections := map[byte]*reader{}
	left := order()
	for r.more() {
		id, content := r.byte(), r.sub()
		if r.err != nil {
			break
		}
		if id == 0 {
			m.custom(content)
			continue
		}
		i := bytes.IndexByte(left, id)
		if i < 0 {
			r.fail("section %d is unknown, or not in its place", id)
			break
		}
		left = left[i+1:]
		sections[id] = content
	}
	return sections, r.err
}

func (m *module) custom(r *reader) {
	name := r.name()
	if name == nameSection {
		m.names = r.b
	}
	if rest, ok := strings.CutPrefix(name, m.prefix); ok && r.err == nil {
		m.out.Sections = append(m.out.Sections, Section{Name: rest, Data: r.b[r.at:]})
	}
}

// survey reads what the code refers to.
func (m *module) survey(sections map[byte]*reader) error {
	for _, part := range []struct {
		id   byte
		read func(*reader)
	}{
		{sectionType, m.readType},
		{sectionImport, m.readImport},
		{sectionFunction, func(r *reader) { m.funcs = append(m.funcs, r.u32()) }},
		{sectionTable, m.readTable},
	} {
		r := sections[part.id]
		if r == nil {
			continue
		}
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			part.read(r)
		}
		if r.err != nil {
			return r.err
		}
		r.at = 0
	}
	if r := sections[sectionGlobal]; r != nil {
		m.globals = r.u32()
		r.at = 0
		return r.err
	}
	return nil
}

func (m *module) readType(r *reader) {
	const form = 0x60
	if r.byte() != form {
		r.fail("a type that is no function")
		return
	}
	params := r.u32()
	r.bytes(params)
	m.types = append(m.types, funcType{uint32(len(m.types)), params, r.bytes(r.u32())})
}

func (m *module) readImport(r *reader) {
	from, name := r.name(), r.name()
	if kind := r.byte(); kind != kindFunc {
		r.fail("import %s.%s: only functions can be imported", from, name)
		return
	}
	m.imports = append(m.imports, r.u32())
	if r.err == nil && (m.limits.Import == nil || !m.limits.Import(from, name)) {
		r.fail("import %s.%s: there is no such function", from, name)
	}
}

func (m *module) readTable(r *reader) {
	r.byte()
	flags, least := r.byte(), r.u32()
	if flags&1 != 0 {
		r.u32()
	}
	if least > maxTable {
		r.fail("a table of %d entries, at most %d are allowed", least, maxTable)
	}
}

// rewrite puts the module together again.
func (m *module) rewrite(sections map[byte]*reader) error {
	code, err := m.code(sections[sectionCode]) // adds types
	if err != nil {
		return err
	}
	out := header()
	for _, id := range order() {
		r := sections[id]
		if r == nil {
			r = &reader{}
		}
		content := r.b
		switch id {
		case sectionType:
			if m.added != nil {
				n := r.u32()
				content = appendU32(nil, n+uint32(len(m.extra)))
				content = append(append(content, r.b[r.at:]...), m.added...)
			}
		case sectionMemory:
			content = m.memories(r)
		case sectionGlobal:
			content = m.counters(r)
		case sectionExport:
			content = m.exports(r)
		case sectionCode:
			content = code
		}
		if r.err != nil {
			return r.err
		}
		if len(content) > 0 {
			out = appendSection(out, id, content)
		}
	}
	if m.names != nil {
		out = appendSection(out, 0, m.names)
	}
	m.out.Code = out
	return nil
}

// memories bounds the memory.
func (m *module) memories(r *reader) []byte {
	if len(r.b) == 0 || r.u32() != 1 {
		r.fail("has not one memory")
		return nil
	}
	const hasMax, shared = 1, 2
	flags, least := r.byte(), r.u32()
	if flags >= shared {
		r.fail("a memory that is shared or of 64 bits")
	}
	most := uint32(min(m.limits.MemoryBytes/pageSize, 1<<16))
	if flags == hasMax {
		most = min(most, r.u32())
	}
	if least > most {
		r.fail("wants %d KiB of memory, %d are allowed", least*(pageSize>>10), most*(pageSize>>10))
	}
	return appendU32(appendU32([]byte{1, hasMax}, least), most)
}

// counters adds the globals.
func (m *module) counters(r *reader) []byte {
	var rest []byte
	if len(r.b) > 0 {
		r.u32()
		rest = r.b[r.at:]
	}
	const added = 2
	content := append(appendU32(nil, m.globals+added), rest...)
	content = initial(content, typeI64, opI64Const, m.limits.Fuel)
	return initial(content, typeI32, opI32Const, int64(m.limits.Stack))
}

// exports adds the counters, and refuses that they are exported under another name.
func (m *module) exports(r *reader) []byte {
	var n uint32
	var rest []byte
	if len(r.b) > 0 {
		n = r.u32()
		rest = r.b[r.at:]
	}
	for range n {
		name, kind, index := r.name(), r.byte(), r.u32()
		if r.err != nil {
			return nil
		}
		if kind == kindGlobal && index >= m.globals {
			r.fail("export %s: global %d, there are %d", name, index, m.globals)
		}
	}
	content := append(appendU32(nil, n+2), rest...)
	for _, e := range []struct {
		name  string
		index uint32
	}{{FuelExport, m.fuelGlobal()}, {StackExport, m.stackGlobal()}} {
		content = append(appendU32(content, uint32(len(e.name))), e.name...)
		content = appendU32(append(content, kindGlobal), e.index)
	}
	return content
}

func (m *module) code(r *reader) ([]byte, error) {
	if r == nil {
		return nil, fmt.Errorf("has no code: %w", ErrModule)
	}
	n := r.u32()
	if r.err == nil && int(n) != len(m.funcs) {
		r.fail("%d functions are declared, %d are there", len(m.funcs), n)
	}
	out := appendU32(nil, n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		if m.funcs[i] >= uint32(len(m.types)) {
			r.fail("function %d: there is no type %d", i, m.funcs[i])
			break
		}
		inner := r.sub()
		text := m.function(inner, m.types[m.funcs[i]])
		if inner.err != nil {
			return nil, fmt.Errorf("function %d: %w", uint32(len(m.imports))+i, inner.err)
		}
		out = append(appendU32(out, uint32(len(text))), text...)
	}
	return out, r.err
}

// blockType is that of a block without parameters that has the results of the function.
func (m *module) blockType(t funcType) []byte {
	switch len(t.results) {
	case 0:
		return []byte{typeEmpty}
	case 1:
		return t.results
	}
	if known := m.extra[t.index]; known != nil {
		return known
	}
	made := appendS64(nil, int64(len(m.types)+len(m.extra)))
	const form = 0x60
	m.added = append(m.added, form, 0)
	m.added = append(appendU32(m.added, uint32(len(t.results))), t.results...)
	m.extra[t.index] = made
	return made
}
