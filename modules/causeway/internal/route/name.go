package route

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// Name is a compiled expression that gives a device another name, in the language and the
// bounds of the conditions. It is safe for concurrent use.
type Name struct {
	program *vm.Program
	workers sync.Pool
}

// naming is what such an expression sees.
type naming struct {
	Device string `expr:"device"`
}

// nameBudget bounds the elements that one evaluation creates; names have some hundred
// characters.
const nameBudget = 16 << 10

// CompileName checks and compiles an expression over device, as
// "'truck-' + device[9:]". The error is one line: what is wrong, and where.
func CompileName(text string) (*Name, error) {
	program, _, err := compileOver(new(naming), text, "rule", expr.AsKind(reflect.String))
	if err != nil {
		return nil, err
	}
	n := &Name{program: program}
	n.workers.New = func() any { return &vm.VM{MemoryBudget: nameBudget} }
	return n, nil
}

// HubDevice returns what the expression gives for a device; empty is a name as well.
func (n *Name) HubDevice(own string) (string, error) {
	machine := n.workers.Get().(*vm.VM) //nolint:forcetypeassert // the pool holds nothing else
	value, err := machine.Run(n.program, &naming{Device: own})
	n.workers.Put(machine)
	if err != nil {
		return "", oneLine(err)
	}
	name, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("gives %T, must give text", value)
	}
	return name, nil
}
