package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// trap says why a call failed, in one line: what the module used up, what it printed
// before it ended, or what the engine says and in which functions.
func (i *instance) trap(err error, fuel int64) error {
	switch {
	case i.host.exited:
		return fmt.Errorf("exited with code %d%s", i.host.code, i.host.lastWords())
	case int64(i.fuel.Get()) < 0:
		return fmt.Errorf("used up %d instructions of fuel in %s", fuel, frames(err))
	case int32(uint32(i.stack.Get())) < 0:
		return fmt.Errorf("used up %d KiB of stack in %s", i.program.limits.StackBytes>>10, frames(err))
	}
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		return fmt.Errorf("exited with code %d%s", exit.ExitCode(), i.host.lastWords())
	}
	return fmt.Errorf("trap: %s in %s%s", firstLine(err), frames(err), i.host.lastWords())
}

// firstLine is what happened, without the stack.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	line, _, _ = strings.Cut(line, " (recovered by wazero)")
	return strings.TrimPrefix(line, "wasm error: ")
}

// frames are the innermost functions of the stack.
func frames(err error) string {
	const most = 3
	_, stack, _ := strings.Cut(err.Error(), "wasm stack trace:\n")
	var names []string
	for line := range strings.Lines(stack) {
		line = strings.TrimSpace(line)
		if name, _, ok := strings.Cut(line, "("); ok && len(names) < most {
			names = append(names, strings.TrimPrefix(name, "."))
		}
	}
	if names == nil {
		return "an unknown function"
	}
	return strings.Join(names, " < ")
}
