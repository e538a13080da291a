package route

import (
	"sync"

	"github.com/expr-lang/expr/vm"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Expression is a compiled expression of any value, in the language and the bounds of
// the conditions. It is safe for concurrent use.
type Expression struct {
	program    *vm.Program
	properties bool
	workers    sync.Pool
}

// CompileExpression checks and compiles an expression, as "message.body.t / 10". It
// sees message.device, contentType, size, properties and body. The error is one line:
// what is wrong, and where.
func CompileExpression(text string) (*Expression, error) {
	program, uses, err := compileAs(text, "expression")
	if err != nil {
		return nil, err
	}
	e := &Expression{program: program, properties: uses.properties}
	e.workers.New = func() any { return newWorker() }
	return e, nil
}

// Value evaluates the expression for a message of a codec; body is its body, decoded.
// The value may share memory with the body.
func (e *Expression) Value(m *codec.Message, body any) (any, error) {
	w := e.workers.Get().(*worker) //nolint:forcetypeassert // the pool holds nothing else
	v := w.env.Message
	v.Device, v.ContentType, v.Size, v.Body = m.Device, m.ContentType, len(m.Body), body
	if body == nil {
		v.Body = w.empty
	}
	if e.properties {
		for _, p := range m.Properties {
			v.Properties[p.Name] = p.Value
		}
	}
	value, err := w.vm.Run(e.program, &w.env)
	clear(v.Properties)
	*v = view{Properties: v.Properties}
	w.vm = vm.VM{MemoryBudget: memoryBudget} // its scopes hold parts of the body
	e.workers.Put(w)
	if err != nil {
		return nil, oneLine(err)
	}
	return value, nil
}
