package wasm

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
)

// Where the handmade modules keep things.
const (
	resultAt = 64
	inputAt  = 32 << 10
)

// plan is a module made by hand. Functions that are nil are the default ones, which
// return the result as it was put into the memory.
type plan struct {
	abi, alloc, receive, split, begin, end []byte // code
	result                                 []byte // what receive and split return
	imports                                []string
	more                                   func(*wasmtest.Module)
}

func i32s(n int) []byte { return slices.Repeat([]byte{wasmtest.I32}, n) }

func (p plan) bytes() []byte {
	m := &wasmtest.Module{}
	for _, name := range p.imports {
		var params []byte
		for _, c := range wasiSignatures[name] {
			params = append(params, map[rune]byte{'i': wasmtest.I32, 'I': wasmtest.I64}[c])
		}
		m.Import(wasiModule, name, params, i32s(1)[:1-strings.Count(name, "proc_exit")])
	}
	m.Memory(1, 0)
	m.Export(exportMemory, 2, 0)
	or := func(code, d []byte) []byte {
		if code == nil {
			return d
		}
		return code
	}
	m.Func(fnABI, nil, i32s(1), 0, or(p.abi, wasmtest.Const(version))...)
	m.Func(fnAlloc, i32s(1), i32s(1), 0, or(p.alloc, wasmtest.Const(inputAt))...)
	m.Func(fnReceive, []byte{wasmtest.I32, wasmtest.I64, wasmtest.I32, wasmtest.I32}, i32s(1), 1,
		or(p.receive, wasmtest.Const(resultAt))...)
	if p.split != nil {
		m.Func(fnSplit, i32s(4), i32s(1), 0, p.split...)
	}
	if p.begin != nil {
		m.Func(fnBegin, i32s(3), i32s(1), 0, p.begin...)
	}
	if p.end != nil {
		m.Func(fnEnd, i32s(1), nil, 0, p.end...)
	}
	m.Data(resultAt, append(binary.LittleEndian.AppendUint32(nil, uint32(len(p.result))), p.result...))
	if p.more != nil {
		p.more(m)
	}
	return m.Bytes()
}

func message(body string) []byte { return appendRecord(nil, tagMessage, body) }

func smallLimits() Limits {
	return Limits{Fuel: 1e6, StartFuel: 1e6, StackBytes: 64 << 10, MemoryBytes: 1 << 20, OutputBytes: 4 << 10, Messages: 3}
}

func (p plan) compile(t *testing.T) (*Program, error) {
	t.Helper()
	return engine(t, "").Compile(t.Context(), "hostile", p.bytes(), smallLimits())
}

func (p plan) codec(t *testing.T) codec.Codec {
	t.Helper()
	return p.codecOf(t, wazero.NewRuntimeConfig())
}

func (p plan) codecOf(t *testing.T, config wazero.RuntimeConfig) codec.Codec {
	t.Helper()
	program, err := engineOf(t, "", config).Compile(t.Context(), "hostile", p.bytes(), smallLimits())
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// onlyX is code that does harm for the frame "x" and returns the result for others.
func onlyX(harm ...byte) []byte {
	return wasmtest.Code(0x20, 2, 0x2d, 0, 0, 0x41, []byte{0xf8, 0}, 0x46, 0x04, 0x40, harm, 0x0b, wasmtest.Const(resultAt))
}

func TestHostileModulesCostTheirOwnLink(t *testing.T) {
	fib := func(m *wasmtest.Module) {
		m.Func("fib", i32s(1), i32s(1), 0,
			0x20, 0, 0x41, 2, 0x48, 0x04, 0x40, 0x41, 1, 0x0f, 0x0b,
			0x20, 0, 0x41, 1, 0x6b, 0x10, 3, 0x20, 0, 0x41, 2, 0x6b, 0x10, 3, 0x6a)
	}
	receive := byte(2) // its index, without imports
	for name, c := range map[string]struct {
		plan plan
		want string
	}{
		"loops without an end":    {plan{receive: onlyX(0x03, 0x40, 0x0c, 0, 0x0b)}, "used up 1000000 instructions of fuel in $2"},
		"recurses without an end": {plan{receive: onlyX(0x20, 0, 0x20, 1, 0x20, 2, 0x20, 3, 0x10, receive, 0x1a)}, "used up 64 KiB of stack in $2 < $2"},
		"branches without an end": {plan{receive: onlyX(0x41, 60, 0x10, 3, 0x1a), more: fib}, "fuel in $3 < $3"},
		"takes all memory": {plan{receive: onlyX( // until it gets no more, then it uses what is behind
			0x03, 0x40, 0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b, 0x3f, 0, 0x41, 16, 0x74, 0x2d, 0, 0, 0x1a)}, "trap: out of bounds memory access"},
		"fills memory without an end": {plan{receive: onlyX(
			wasmtest.Code(0x03, 0x40, 0x41, 0, 0x41, 0, wasmtest.Const(1<<16), 0xfc, 11, 0, 0x0c, 0, 0x0b)...)}, "instructions of fuel"},
		"traps":                          {plan{receive: onlyX(0x00)}, "trap: unreachable in $2"},
		"divides by zero":                {plan{receive: onlyX(0x41, 1, 0x41, 0, 0x6d, 0x1a)}, "trap: integer divide by zero"},
		"reads what is not its own":      {plan{receive: onlyX(0x41, 0x7f, 0x2d, 0, 0, 0x1a)}, "trap: out of bounds memory access"},
		"returns an address that is not": {plan{receive: onlyX(0x41, 0x7f, 0x0f)}, "a result at 4294967295, the memory has 65536 bytes"},
		"floods": {plan{receive: onlyX( // a length of 1 MiB at 8
			0x41, 8, 0x41, 0x80, 0x80, 0xc0, 0, 0x36, 2, 0, 0x41, 8, 0x0f)}, "a result of 1048576 bytes, at most 4096 are allowed"},
		"returns what lies behind": {plan{receive: onlyX( // a length of 1000 four bytes before the end
			wasmtest.Code(wasmtest.Const(65532), wasmtest.Const(1000), 0x36, 2, 0, wasmtest.Const(65532), 0x0f)...)}, "a result of 1000 bytes at 65532"},
		"returns no records": {plan{receive: onlyX( // a length of 2
			0x41, 8, 0x41, 2, 0x36, 2, 0, 0x41, 8, 0x0f)}, "2 bytes behind the last record"},
		"exits":                         {plan{imports: []string{"proc_exit"}, receive: onlyX(0x41, 3, 0x10, 0, 0x03, 0x40, 0x0c, 0, 0x0b)}, "exited with code 3"},
		"calls the host without an end": {plan{imports: []string{"sched_yield"}, receive: onlyX(0x03, 0x40, 0x10, 0, 0x1a, 0x0c, 0, 0x0b)}, "instructions of fuel"},
	} {
		c.plan.result = message("fine")
		for _, on := range []wazero.RuntimeConfig{wazero.NewRuntimeConfig(), wazero.NewRuntimeConfigInterpreter()} {
			t.Run(name, func(t *testing.T) {
				costsItsOwnLink(t, c.plan.codecOf(t, on), c.want)
			})
		}
	}
}

func costsItsOwnLink(t *testing.T, links codec.Codec, want string) {
	t.Helper()
	other, d := begin(t, links), begin(t, links)
	var out codec.Outcome
	for range 2 { // the second time it is not called any more
		err := d.Receive(codec.Frame{Bytes: []byte("x")}, &out)
		if !errors.Is(err, codec.ErrBroken) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, d := range []codec.Dialogue{other, begin(t, links)} {
		out.Reset()
		if err := d.Receive(codec.Frame{Bytes: []byte("y")}, &out); err != nil || string(out.Messages[0].Body) != "fine" {
			t.Errorf("another link: got %+v, %v", out.Messages, err)
		}
	}
}

func TestOutcomesThatAreNoneAreNamed(t *testing.T) {
	records := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	record := func(t tag, data string) []byte { return appendRecord(nil, t, data) }
	for name, c := range map[string]struct {
		result []byte
		want   string
	}{
		"a record that is cut off":   {message("abc")[:6], "tag 16 has 3 bytes, 2 are left"},
		"an unknown tag":             {record(99, ""), "tag 99 does not belong here"},
		"a tag of a split":           {record(tagFrame, "123456789012"), "tag 48 does not belong here"},
		"an unknown kind":            {record(tagError, "\x09x"), "an error of a kind that is not known"},
		"an error without a kind":    {record(tagError, ""), "an error of a kind that is not known"},
		"two errors":                 {records(record(tagError, "\x01a"), record(tagError, "\x01b")), "tag 1 does not belong here"},
		"two replies":                {records(record(tagReply, "a"), record(tagReply, "b")), "tag 6 is there twice"},
		"two devices":                {records(record(tagDevice, "a"), record(tagDevice, "b")), "tag 2 is there twice"},
		"a time before the message":  {record(tagTime, "12345678"), "tag 20 before the first message"},
		"a time of three bytes":      {records(message(""), record(tagTime, "123")), "a time of 3 bytes"},
		"a property without a name":  {records(message(""), record(tagProperty, "\x00v")), "a property without a name"},
		"a name that is cut off":     {records(message(""), record(tagProperty, "\x05nam")), "a property without a name"},
		"too many messages":          {slices.Repeat(message(""), 4), "more than 3 messages"},
		"too many results":           {slices.Repeat(record(tagResult, "1"), 4), "more than 3 results"},
		"too many properties":        {records(message(""), slices.Repeat(record(tagProperty, "\x01n"), 65)), "more than 64 properties"},
		"a payload before a result":  {record(tagPayload, "{}"), "tag 33 before the first result"},
		"a payload that is no JSON":  {records(record(tagResult, "1"), record(tagPayload, "{")), "payload that is no JSON"},
		"an unknown tag of messages": {records(message(""), record(30, "")), "tag 30 does not belong here"},
		"an unknown tag of results":  {records(record(tagResult, ""), record(40, "")), "tag 40 does not belong here"},
	} {
		d := begin(t, plan{result: c.result}.codec(t))
		err := d.Receive(codec.Frame{Bytes: []byte("x")}, &codec.Outcome{})
		if !errors.Is(err, codec.ErrBroken) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestSplitsThatAreNoneAreNamed(t *testing.T) {
	words := func(t tag, v ...uint32) []byte {
		var b []byte
		for _, w := range v {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return appendRecord(nil, t, string(b))
	}
	for name, c := range map[string]struct {
		result []byte
		want   string
	}{
		"no progress":               {words(tagFrame, 0, 0, 0), "tag 48"},
		"more than there is":        {words(tagFrame, 0, 9, 9), "of 8 bytes"},
		"a frame over what is used": {words(tagFrame, 2, 4, 5), "tag 48"},
		"lengths that wrap":         {words(tagFrame, 0xffffffff, 2, 1), "tag 48"},
		"skips too much":            {words(tagSkip, 9), "tag 49"},
		"two records":               {append(words(tagSkip, 1), words(tagSkip, 1)...), "not one record"},
		"an outcome":                {message("x"), "tag 16"},
	} {
		d := begin(t, plan{split: wasmtest.Const(resultAt), result: c.result}.codec(t)).(codec.Framer)
		_, _, err := d.Split([]byte("12345678"), false)
		if !errors.Is(err, codec.ErrBroken) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestModulesThatCannotBeLoadedSayWhy(t *testing.T) {
	loop := wasmtest.Code(0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 1)
	bare := &wasmtest.Module{}
	bare.Memory(1, 0)
	bare.Func("f", nil, nil, 0)
	withMemory := &wasmtest.Module{}
	withMemory.Memory(1, 0)
	withMemory.Export(exportMemory, 2, 0)
	withMemory.Func(fnABI, nil, i32s(1), 0, wasmtest.Const(1)...)
	wrong := &wasmtest.Module{}
	wrong.Memory(1, 0)
	wrong.Export(exportMemory, 2, 0)
	wrong.Func(fnABI, i32s(1), nil, 0)
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"no module":             {[]byte("#!/bin/sh"), "does not begin with"},
		"no memory":             {bare.Bytes(), `exports no memory named "memory"`},
		"no alloc":              {withMemory.Bytes(), "does not export codec_alloc"},
		"another signature":     {wrong.Bytes(), "codec_abi is (i32) -> (), want () -> (i32)"},
		"another version":       {plan{abi: wasmtest.Const(7)}.bytes(), "returns version 7, this gateway speaks 1"},
		"unknown flags":         {plan{abi: wasmtest.Const(1 | 1<<20)}.bytes(), "returns flags 0x100000, known are 0x30000"},
		"abi loops":             {plan{abi: loop}.bytes(), "used up 1000000 instructions of fuel in $0"},
		"abi traps":             {plan{abi: []byte{0x00}}.bytes(), "trap: unreachable in $0"},
		"alloc returns nothing": {plan{alloc: wasmtest.Const(0)}.bytes(), "codec_alloc returned 0 for 1024 bytes"},
		"alloc returns what is not there": {plan{alloc: wasmtest.Const(65000)}.bytes(),
			"codec_alloc returned 65000 for 1024 bytes, the memory has 65536"},
		"wants files":       {plan{more: func(m *wasmtest.Module) { m.Import("env", "open", nil, nil) }}.bytes(), "import env.open: there is no such function"},
		"wants much memory": {plan{more: func(m *wasmtest.Module) { m.Memory(100, 0) }}.bytes(), "wants 6400 KiB of memory, 1024 are allowed"},
		"start loops": {plan{more: func(m *wasmtest.Module) { m.Func(fnInitialize, nil, nil, 0, 0x03, 0x40, 0x0c, 0, 0x0b) }}.bytes(),
			"start: wasm: used up 1000000 instructions of fuel in $3"},
		"code that is not valid":      {plan{receive: []byte{0x6a}}.bytes(), "invalid function[2]"},
		"examples that are not there": {plan{more: func(m *wasmtest.Module) { m.Func(fnExamples, nil, i32s(1), 0, 0x41, 0x7f) }}.bytes(), "codec_examples: wasm: a result at 4294967295"},
		"examples that are none":      {plan{result: message("x"), more: func(m *wasmtest.Module) { m.Func(fnExamples, nil, i32s(1), 0, wasmtest.Const(resultAt)...) }}.bytes(), "codec_examples: a record with tag 16"},
	} {
		_, err := engine(t, "").Compile(t.Context(), "m", c.code, smallLimits())
		if !errors.Is(err, ErrModule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestHostileModulesLeaveTheProcessorToOthers(t *testing.T) {
	// What one frame may cost is the fuel; a loop as tight as can be uses it up soonest.
	program, err := engine(t, "").Compile(t.Context(), "spin",
		plan{receive: onlyX(0x03, 0x40, 0x0c, 0, 0x0b), result: message("")}.bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := begin(t, c)
	began := time.Now()
	if err := d.Receive(codec.Frame{Bytes: []byte("x")}, &codec.Outcome{}); !errors.Is(err, codec.ErrBroken) {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an endless loop took %v", took)
	}
}
