// Package wasmtest puts small WebAssembly modules together for tests, byte by byte:
// what no compiler would make has to be written by hand.
package wasmtest

import "encoding/binary"

// Types of values.
const (
	I32 byte = 0x7f
	I64 byte = 0x7e
)

// Module is a module being put together. The zero value is an empty one.
type Module struct {
	types, imports, funcs, exports, codes, datas, globals [][]byte
	tables                                                [][]byte
	elements                                              [][]byte
	memory                                                []byte
	customs                                               []byte
	imported                                              int
}

// Type adds the type of a function and returns its index.
func (m *Module) Type(params, results []byte) int {
	t := append([]byte{0x60}, U32(len(params))...)
	t = append(append(t, params...), U32(len(results))...)
	m.types = append(m.types, append(t, results...))
	return len(m.types) - 1
}

// Import adds an imported function. Imports come before functions.
func (m *Module) Import(from, name string, params, results []byte) int {
	entry := append(append(text(from), text(name)...), 0)
	m.imports = append(m.imports, append(entry, U32(m.Type(params, results))...))
	m.imported++
	return m.imported - 1
}

// Func adds a function with so many locals of 32 bits besides its parameters, and
// exports it where it has a name. The end of the code is added.
func (m *Module) Func(name string, params, results []byte, locals int, code ...byte) int {
	m.funcs = append(m.funcs, U32(m.Type(params, results)))
	body := []byte{0}
	if locals > 0 {
		body = append(append([]byte{1}, U32(locals)...), I32)
	}
	body = append(append(body, code...), 0x0b)
	m.codes = append(m.codes, append(U32(len(body)), body...))
	index := m.imported + len(m.funcs) - 1
	if name != "" {
		m.Export(name, 0, index)
	}
	return index
}

// Export exports something: 0 a function, 2 a memory, 3 a global.
func (m *Module) Export(name string, kind byte, index int) {
	m.exports = append(m.exports, append(append(text(name), kind), U32(index)...))
}

// Memory sets the memory, as pages of 64 KiB; most 0 means no bound.
func (m *Module) Memory(least, most int) {
	m.memory = append([]byte{1, 0}, U32(least)...)
	if most > 0 {
		m.memory = append(append([]byte{1, 1}, U32(least)...), U32(most)...)
	}
}

// Table adds a table of functions.
func (m *Module) Table(least int) {
	m.tables = append(m.tables, append([]byte{0x70, 0}, U32(least)...))
}

// Elements fills the table from entry 0.
func (m *Module) Elements(functions ...int) {
	e := append([]byte{0, 0x41, 0, 0x0b}, U32(len(functions))...)
	for _, f := range functions {
		e = append(e, U32(f)...)
	}
	m.elements = append(m.elements, e)
}

// Global adds a mutable global of 32 bits and returns its index.
func (m *Module) Global(first int) int {
	g := append(append([]byte{I32, 1}, Const(first)...), 0x0b)
	m.globals = append(m.globals, g)
	return len(m.globals) - 1
}

// Data puts bytes into the memory.
func (m *Module) Data(at int, data []byte) {
	d := append(append([]byte{0}, Const(at)...), 0x0b)
	m.datas = append(m.datas, append(append(d, U32(len(data))...), data...))
}

// Custom adds a custom section.
func (m *Module) Custom(name string, data []byte) {
	content := append(text(name), data...)
	m.customs = append(append(append(m.customs, 0), U32(len(content))...), content...)
}

// Bytes is the module.
func (m *Module) Bytes() []byte {
	out := binary.LittleEndian.AppendUint32([]byte("\x00asm"), 1)
	section := func(id byte, entries [][]byte) {
		if len(entries) == 0 {
			return
		}
		content := U32(len(entries))
		for _, e := range entries {
			content = append(content, e...)
		}
		out = append(append(append(out, id), U32(len(content))...), content...)
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, m.funcs)
	section(4, m.tables)
	if m.memory != nil {
		out = append(append(append(out, 5), U32(len(m.memory))...), m.memory...)
	}
	section(6, m.globals)
	section(7, m.exports)
	section(9, m.elements)
	section(10, m.codes)
	section(11, m.datas)
	return append(out, m.customs...)
}

// U32 is an unsigned number.
func U32(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }

// Const is the instruction i32.const.
func Const(v int) []byte {
	b := []byte{0x41}
	for {
		c := byte(v & 0x7f)
		if v >>= 7; v == 0 && c < 0x40 || v == -1 && c >= 0x40 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Code joins instructions.
func Code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case int:
			b = append(b, byte(p))
		}
	}
	return b
}

func text(s string) []byte { return append(U32(len(s)), s...) }
