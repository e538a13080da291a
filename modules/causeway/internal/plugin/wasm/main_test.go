package wasm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	acmeSource = "../../../kits/go/acme"
	acmeCases  = "../../../kits/go/acme/testdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// goBuild is the command that makes a module of the Go example: two variables, the
// program, and its arguments.
func goBuild() []string {
	return []string{"GOOS=wasip1", "GOARCH=wasm", "go", "build", "-buildmode=c-shared", "-ldflags", "-s -w"}
}

// built is the module of the Go example, and the folder where its machine code is
// kept, so that it is compiled once for all tests.
var built = sync.OnceValues(func() (module []byte, err error) {
	dir, err := os.MkdirTemp("", "causeway-wasm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	target := filepath.Join(dir, "acme.wasm")
	args := append(goBuild(), "-o", target, ".")
	build := exec.Command(args[2], args[3:]...)
	build.Dir = acmeSource
	build.Env = append(os.Environ(), args[:2]...)
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the example: %w\n%s", err, text)
	}
	return os.ReadFile(target)
})

// given are modules of the other kits, which other compilers have made; make interop
// builds them and runs the tests with them besides.
var given = flag.String("modules", "", "files with acme as a module, separated by commas")

// acmes are the programs of acme, by name: that in Go, and those that were given.
func acmes(tb testing.TB) map[string]*Program {
	tb.Helper()
	all := givenPrograms(tb, wazero.NewRuntimeConfig())
	all["go"] = acmeProgram(tb)
	return all
}

func givenPrograms(tb testing.TB, config wazero.RuntimeConfig) map[string]*Program {
	tb.Helper()
	all := map[string]*Program{}
	for path := range strings.SplitSeq(*given, ",") {
		if path == "" {
			continue
		}
		module, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".wasm")
		if all[name], err = engineOf(tb, "", config).Compile(tb.Context(), name, module, Limits{}); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// kept is where the engine of the Go example keeps machine code.
var kept = flag.String("kept", "", "folder that gets the machine code of the Go example")

// machineCode is a folder with the machine code of the Go example. The compiler takes five
// times as long with the race detector, and what it makes is the same: so this package's
// tests, without the detector, compile in its place.
func machineCode() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "causeway-wasm"); err != nil {
		return "", err
	}
	compile := exec.Command("go", "test", "-count=1", "-run", "^TestTheExampleIsCompiled$", ".", "-args", "-kept", dir)
	if text, err := compile.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("compile the example: %w\n%s", err, text), os.RemoveAll(dir))
	}
	return dir, nil
}

func TestTheExampleIsCompiled(t *testing.T) {
	if len(acmeProgram(t).Examples()) == 0 {
		t.Error("it brings no example")
	}
	if *kept == "" {
		return
	}
	if files, err := os.ReadDir(*kept); err != nil || len(files) == 0 {
		t.Errorf("nothing was kept: %v", err)
	}
}

// shared is a program that all tests of the Go example use.
var shared = sync.OnceValues(func() (*Program, error) {
	module, err := built()
	if err != nil {
		return nil, err
	}
	dir := *kept
	if raceEnabled {
		if dir, err = machineCode(); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	e, err := NewEngine(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	return e.Compile(ctx, "acme", module, Limits{})
})

func acmeModule(tb testing.TB) []byte {
	tb.Helper()
	module, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	return module
}

func acmeProgram(tb testing.TB) *Program {
	tb.Helper()
	p, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// engine is one that ends with the test.
func engine(tb testing.TB, dir string) *Engine {
	tb.Helper()
	return engineOf(tb, dir, wazero.NewRuntimeConfig())
}

func engineOf(tb testing.TB, dir string, config wazero.RuntimeConfig) *Engine {
	tb.Helper()
	e, err := newEngine(tb.Context(), dir, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func begin(tb testing.TB, c codec.Codec) codec.Dialogue {
	tb.Helper()
	d, err := c.Begin(codec.Peer{Listener: "l", Transport: "tcp"})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
