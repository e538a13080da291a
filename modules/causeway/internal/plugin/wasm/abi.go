package wasm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// ErrModule says that a module cannot be used: it is no module, wants what is not
// there, or does not keep the interface. The text says what is wrong.
var ErrModule = errors.New("not a usable codec module")

// version is that of the interface, the low 16 bits of what codec_abi returns.
const version = 1

// Flags above the version.
const (
	versionBits = 16
	// flagShared: one instance holds many dialogues, told apart by their number.
	flagShared = 1 << versionBits
	// flagNoSplit: codec_split is there, but the codec does not cut the stream; for
	// kits, which export everything.
	flagNoSplit = 1 << (versionBits + 1)
	knownFlags  = flagShared | flagNoSplit
)

// The exported functions. Those that are not required may be missing.
const (
	fnABI       = "codec_abi"
	fnAlloc     = "codec_alloc"
	fnReceive   = "codec_receive"
	fnConfigure = "codec_configure"
	fnBegin     = "codec_begin"
	fnEnd       = "codec_end"
	fnSplit     = "codec_split"
	fnCommand   = "codec_command"
	fnTick      = "codec_tick"
	fnResume    = "codec_resume"
	fnExamples  = "codec_examples"

	exportMemory = "memory"
	// fnInitialize is what the tools of C, Rust and Go name the start of a module
	// without a main program.
	fnInitialize = "_initialize"
	// sectionExamples is what the names of custom sections with examples begin with.
	sectionExamples = "codec.example."
)

type signature struct {
	name            string
	required        bool
	params, results []api.ValueType
}

func signatures() []signature {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	types := func(t ...api.ValueType) []api.ValueType { return t }
	result := types(i32)
	return []signature{
		{fnABI, true, nil, result},
		{fnAlloc, true, types(i32), result},
		{fnReceive, true, types(i32, i64, i32, i32), result},
		{fnConfigure, false, types(i32, i32), result},
		{fnBegin, false, types(i32, i32, i32), result},
		{fnEnd, false, types(i32), nil},
		{fnSplit, false, types(i32, i32, i32, i32), result},
		{fnCommand, false, types(i32, i32, i32), result},
		{fnTick, false, types(i32, i64), result},
		{fnResume, false, types(i32, i32, i32), result},
		{fnExamples, false, nil, result},
		{fnInitialize, false, nil, nil},
	}
}

// checkExports compares what the module exports with the interface, and returns the
// names of the functions that it has.
func checkExports(m wazero.CompiledModule) (map[string]bool, error) {
	if m.ExportedMemories()[exportMemory] == nil {
		return nil, fmt.Errorf("exports no memory named %q: %w", exportMemory, ErrModule)
	}
	functions := m.ExportedFunctions()
	has := map[string]bool{}
	for _, s := range signatures() {
		f := functions[s.name]
		if f == nil {
			if s.required {
				return nil, fmt.Errorf("does not export %s: %w", s.name, ErrModule)
			}
			continue
		}
		if !slices.Equal(f.ParamTypes(), s.params) || !slices.Equal(f.ResultTypes(), s.results) {
			return nil, fmt.Errorf("%s is %s, want %s: %w", s.name,
				typeText(f.ParamTypes(), f.ResultTypes()), typeText(s.params, s.results), ErrModule)
		}
		has[s.name] = true
	}
	return has, nil
}

func typeText(params, results []api.ValueType) string {
	names := func(list []api.ValueType) (text string) {
		for i, t := range list {
			if i > 0 {
				text += ", "
			}
			text += api.ValueTypeName(t)
		}
		return text
	}
	return "(" + names(params) + ") -> (" + names(results) + ")"
}

// checkABI reads what codec_abi returned.
func checkABI(v uint32) (flags uint32, err error) {
	if got := v & (1<<versionBits - 1); got != version {
		return 0, fmt.Errorf("%s returns version %d, this gateway speaks %d: %w", fnABI, got, version, ErrModule)
	}
	if flags = v &^ (1<<versionBits - 1); flags&^knownFlags != 0 {
		return 0, fmt.Errorf("%s returns flags 0x%x, known are 0x%x: %w", fnABI, flags, knownFlags, ErrModule)
	}
	return flags, nil
}
