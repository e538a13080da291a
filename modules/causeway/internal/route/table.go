package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/expr-lang/expr/vm"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// Rule is one rule of the configuration.
type Rule struct {
	Name string
	// When is the condition; empty means always.
	When string
	// Output is the module output of the messages that it takes.
	Output string
	// Order: rules are tried in ascending order, then by name.
	Order int
	// Properties are set on the messages that it takes, in place of those of the
	// same name without regard to case.
	Properties []message.Property
}

// RuleError says why a rule does not compile.
type RuleError struct {
	// Name is the rule's.
	Name string
	// Err is one line: what is wrong with the condition, and where.
	Err error
}

// Error implements error.
func (e RuleError) Error() string { return fmt.Sprintf("route %s: %v", e.Name, e.Err) }

// Unwrap returns Err.
func (e RuleError) Unwrap() error { return e.Err }

// Table is a compiled set of rules. It is safe for concurrent use; nil is an empty
// table.
type Table struct {
	rules []compiled
	// properties and body: some rule looks at them.
	properties, body bool
	workers          sync.Pool
	errors           atomic.Uint64
	last             atomic.Pointer[string]
}

type compiled struct {
	Rule
	// program is nil when the rule always holds.
	program *vm.Program
}

// Compile checks and compiles the rules. Either the table holds all of them, or it
// is nil and the errors, in order of the rules' names, say why.
func Compile(rules []Rule) (*Table, []RuleError) {
	t := new(Table)
	var faults []RuleError
	for _, rule := range rules {
		c := compiled{Rule: rule}
		if strings.TrimSpace(rule.When) != "" {
			program, uses, err := compile(rule.When)
			if err != nil {
				faults = append(faults, RuleError{rule.Name, err})
				continue
			}
			c.program = program
			t.properties = t.properties || uses.properties
			t.body = t.body || uses.body
		}
		t.rules = append(t.rules, c)
	}
	if faults != nil {
		slices.SortFunc(faults, func(a, b RuleError) int { return cmp.Compare(a.Name, b.Name) })
		return nil, faults
	}
	slices.SortStableFunc(t.rules, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Name, b.Name))
	})
	t.workers.New = func() any { return newWorker() }
	return t, nil
}

// Apply sets the output and the properties of the message. A condition that fails
// at run time does not hold, and is counted; the message goes on.
func (t *Table) Apply(m *message.Message) {
	if t == nil || len(t.rules) == 0 {
		return
	}
	if first := &t.rules[0]; first.program == nil {
		first.take(m)
		return
	}
	w := t.workers.Get().(*worker) //nolint:forcetypeassert // the pool holds nothing else
	w.load(t, m)
	for i := range t.rules {
		if rule := &t.rules[i]; rule.program == nil || w.holds(t, rule) {
			rule.take(m)
			break
		}
	}
	w.unload(t)
	t.workers.Put(w)
}

// Errors returns how many conditions failed at run time.
func (t *Table) Errors() uint64 {
	if t == nil {
		return 0
	}
	return t.errors.Load()
}

// LastError returns what the last failure was, on one line; empty before the first.
func (t *Table) LastError() string {
	if t == nil {
		return ""
	}
	if text := t.last.Load(); text != nil {
		return *text
	}
	return ""
}

func (t *Table) fail(err error) {
	text := err.Error()
	t.last.Store(&text)
	t.errors.Add(1)
}

func (c *compiled) take(m *message.Message) {
	m.Output = c.Output
next:
	for _, p := range c.Properties {
		for i := range m.Properties {
			// The hub refuses two names that differ only in case.
			if strings.EqualFold(m.Properties[i].Name, p.Name) {
				m.Properties[i] = p
				continue next
			}
		}
		m.Properties = append(m.Properties, p)
	}
}
