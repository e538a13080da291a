package meter

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
)

func limits() Limits {
	return Limits{Fuel: 1e6, Stack: 1 << 20, MemoryBytes: 1 << 20, Import: func(m, n string) bool { return m+"."+n == "host.f" }}
}

func one(b byte) []byte { return []byte{b} }

// started meters and starts a module with both engines.
func started(t *testing.T, code []byte) []api.Module {
	t.Helper()
	out, err := Rewrite(code, limits(), "c/")
	if err != nil {
		t.Fatal(err)
	}
	var all []api.Module
	for _, config := range []wazero.RuntimeConfig{wazero.NewRuntimeConfig(), wazero.NewRuntimeConfigInterpreter()} {
		r := wazero.NewRuntimeWithConfig(t.Context(), config.WithCoreFeatures(api.CoreFeaturesV2))
		t.Cleanup(func() { r.Close(context.Background()) })
		_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().WithFunc(func() {}).Export("f").Instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Instantiate(t.Context(), out.Code)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func counter(m api.Module, name string) int64 {
	v := m.ExportedGlobal(name).Get()
	if name == StackExport {
		return int64(int32(uint32(v)))
	}
	return int64(v)
}

// shapes are functions of one i32 that use every way to leave a block.
func shapes() *wasmtest.Module {
	m := &wasmtest.Module{}
	m.Memory(1, 0)
	i32 := one(wasmtest.I32)
	m.Func("sum", i32, i32, 1, // while p > 0: l += p; p -= 1
		0x02, 0x40, 0x03, 0x40, 0x20, 0, 0x45, 0x0d, 1,
		0x20, 1, 0x20, 0, 0x6a, 0x21, 1, 0x20, 0, 0x41, 1, 0x6b, 0x21, 0, 0x0c, 0, 0x0b, 0x0b, 0x20, 1)
	m.Func("fib", i32, i32, 0, // recursion with an early return out of an if
		0x20, 0, 0x41, 2, 0x48, 0x04, 0x40, 0x20, 0, 0x0f, 0x0b,
		0x20, 0, 0x41, 1, 0x6b, 0x10, 1, 0x20, 0, 0x41, 2, 0x6b, 0x10, 1, 0x6a)
	two := m.Func("", i32, []byte{wasmtest.I32, wasmtest.I32}, 0, // two results, by return, calling something
		0x20, 0, 0x41, 0, 0x10, 1, 0x0f)
	m.Func("pair", i32, i32, 0, 0x20, 0, 0x10, byte(two), 0x6a)
	m.Func("leave", i32, i32, 0, // a branch to the function itself, with a value, after a call
		0x41, 1, 0x10, 1, 0x1a, 0x02, 0x40, 0x20, 0, 0x20, 0, 0x0d, 1, 0x1a, 0x0b, 0x41, 9)
	m.Func("table", i32, i32, 0, // br_table out of three blocks
		0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 2, 0, 1, 2, 0x0b, 0x41, 10, 0x0f, 0x0b, 0x41, 20, 0x0f, 0x0b, 0x41, 30)
	m.Func("fill", i32, i32, 0, 0x41, 0, 0x41, 7, 0x20, 0, 0xfc, 11, 0, 0x41, 0, 0x2d, 0, 0)
	m.Func("deep", i32, i32, 0, // recursion without an end but the parameter
		0x20, 0, 0x45, 0x04, 0x40, 0x41, 0, 0x0f, 0x0b, 0x20, 0, 0x41, 1, 0x6b, 0x10, 7, 0x41, 1, 0x6a)
	m.Func("spin", i32, i32, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 0)
	return m
}

func TestMeteredFunctionsReturnWhatTheyDid(t *testing.T) {
	for _, m := range started(t, shapes().Bytes()) {
		for _, c := range []struct {
			name     string
			in, want uint64
		}{
			{"sum", 100, 5050}, {"fib", 20, 6765}, {"pair", 5, 5}, {"leave", 5, 5}, {"leave", 0, 9},
			{"table", 0, 10}, {"table", 1, 20}, {"table", 7, 30}, {"fill", 100, 7}, {"deep", 100, 100},
		} {
			stack := counter(m, StackExport)
			got, err := m.ExportedFunction(c.name).Call(t.Context(), c.in)
			if err != nil || got[0] != c.want {
				t.Errorf("%s(%d): got %v, %v, want %d", c.name, c.in, got, err, c.want)
			}
			if now := counter(m, StackExport); now != stack {
				t.Errorf("%s(%d): the stack was %d, is %d", c.name, c.in, stack, now)
			}
		}
	}
}

func TestFuelIsCountedTheSameEachTime(t *testing.T) {
	const given = 1e6
	var first int64
	for _, m := range started(t, shapes().Bytes()) {
		for range 3 {
			fuel := m.ExportedGlobal(FuelExport).(api.MutableGlobal)
			fuel.Set(given)
			if _, err := m.ExportedFunction("sum").Call(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
			used := given - counter(m, FuelExport)
			if first == 0 {
				first = used
			}
			if used != first || used < 10_000 || used > 30_000 {
				t.Errorf("a thousand turns of 12 instructions cost %d, before %d", used, first)
			}
		}
	}
}

func TestWhatGoesTooFarIsStopped(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      uint64
		counter string
	}{
		{"spin", 0, FuelExport},
		{"fib", 60, FuelExport},
		{"deep", 1 << 20, StackExport},
	} {
		for _, m := range started(t, shapes().Bytes()) {
			_, err := m.ExportedFunction(c.name).Call(t.Context(), c.in)
			overflow := err != nil && strings.Contains(err.Error(), "stack overflow") // the interpreter's own, lower bound
			if err == nil || counter(m, c.counter) >= 0 && !overflow {
				t.Errorf("%s: got %v, %s is %d", c.name, err, c.counter, counter(m, c.counter))
			}
		}
	}
}

func TestBulkInstructionsCostByLength(t *testing.T) {
	for _, m := range started(t, shapes().Bytes()) {
		before := counter(m, FuelExport)
		if _, err := m.ExportedFunction("fill").Call(t.Context(), 1<<16); err != nil {
			t.Fatal(err)
		}
		if used := before - counter(m, FuelExport); used < 1<<13 || used > 1<<13+100 {
			t.Errorf("64 KiB cost %d", used)
		}
	}
}

func TestModulesThatCannotBeMeteredSayWhy(t *testing.T) {
	function := func(code ...byte) []byte {
		m := &wasmtest.Module{}
		m.Memory(1, 0)
		m.Table(1)
		m.Func("f", nil, nil, 0, code...)
		return m.Bytes()
	}
	with := func(change func(*wasmtest.Module)) []byte {
		m := shapes()
		change(m)
		return m.Bytes()
	}
	imports := &wasmtest.Module{}
	imports.Import("env", "now", nil, nil)
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"text":                          {[]byte("hello, I am no module"), "does not begin with"},
		"nothing":                       {header(), "has no code"},
		"cut off":                       {function(0x01)[:40], "ends early"},
		"sets the fuel":                 {function(0x42, 0, 0x24, 0), "global 0 is used, there are 0"},
		"reads a local of the meter":    {function(0x20, 0, 0x1a), "local 0 is used, there are 0"},
		"exports the fuel":              {with(func(m *wasmtest.Module) { m.Export("mine", 3, 0) }), "export mine: global 0, there are 0"},
		"imports what is not there":     {imports.Bytes(), "import env.now: there is no such function"},
		"grows a table":                 {function(0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a), "change a table"},
		"an instruction of the future":  {function(0x12, 0), "instruction 0x12 is not of WebAssembly 2.0"},
		"a vector instruction of later": {function(0xfd, 0x80, 0x02), "0xfd 256"},
		"a table over all bounds":       {with(func(m *wasmtest.Module) { m.Table(1 << 30) }), "a table of 1073741824 entries"},
		"a memory over its bound":       {with(func(m *wasmtest.Module) { m.Memory(17, 0) }), "wants 1088 KiB of memory, 1024 are allowed"},
		"locals over all bounds":        {with(func(m *wasmtest.Module) { m.Func("f", nil, nil, 60_000) }), "60000 locals"},
		"code behind the end":           {function(0x0b, 0x01), "behind the end"},
	} {
		_, err := Rewrite(c.code, limits(), "c/")
		if !errors.Is(err, ErrModule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestMemoryIsBoundedByTheSmallerLimit(t *testing.T) {
	for most, want := range map[int]uint32{0: 16, 3: 3, 100: 16} {
		m := shapes()
		m.Memory(1, most)
		for _, m := range started(t, m.Bytes()) {
			if _, got := m.Memory().Definition().Max(); !got {
				t.Error("no bound")
			}
			if got, _ := m.Memory().Definition().Max(); got != want {
				t.Errorf("asked for %d pages: may have %d, want %d", most, got, want)
			}
		}
	}
}

func TestCustomSectionsWithThePrefixAreCollected(t *testing.T) {
	m := shapes()
	m.Custom("c/one", []byte("1"))
	m.Custom("other", []byte("x"))
	m.Custom("c/two", []byte("2"))
	out, err := Rewrite(m.Bytes(), limits(), "c/")
	if err != nil || len(out.Sections) != 2 || out.Sections[0].Name != "one" || string(out.Sections[1].Data) != "2" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestCallsOfTheHostCostMore(t *testing.T) {
	m := &wasmtest.Module{}
	f := m.Import("host", "f", nil, nil)
	m.Memory(1, 0)
	m.Func("call", nil, nil, 0, 0x10, byte(f))
	for _, m := range started(t, m.Bytes()) {
		before := counter(m, FuelExport)
		if _, err := m.ExportedFunction("call").Call(t.Context()); err != nil {
			t.Fatal(err)
		}
		if used := before - counter(m, FuelExport); used < priceHost {
			t.Errorf("a call cost %d", used)
		}
	}
}

// What the engine takes before it takes afterwards, and nothing panics.
func FuzzRewrite(f *testing.F) {
	f.Add(shapes().Bytes())
	f.Add(header())
	f.Fuzz(func(t *testing.T, code []byte) {
		out, err := Rewrite(code, limits(), "c/")
		if err != nil {
			if !errors.Is(err, ErrModule) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
		defer r.Close(context.Background())
		if _, err := r.CompileModule(t.Context(), code); err != nil {
			return
		}
		if _, err := r.CompileModule(t.Context(), out.Code); err != nil {
			t.Errorf("taken before, not afterwards: %v", err)
		}
	})
}
