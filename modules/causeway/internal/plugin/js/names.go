package js

import (
	"reflect"
	"strconv"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// names is what the rewriter knows of the names of a script before it changes it.
type names struct {
	all      map[unistring.String]bool             // every identifier
	declared map[unistring.String]bool             // by var, let, const, function, class, parameter
	assigned map[unistring.String]bool             // anywhere
	values   map[unistring.String][]ast.Expression // of variables that only ever get these
	unknown  map[unistring.String]bool             // variables that get other values as well
	bigInts  bool
	seen     map[any]bool
}

// survey looks through a tree.
func survey(list []ast.Statement) *names {
	n := &names{
		all: map[unistring.String]bool{}, declared: map[unistring.String]bool{}, assigned: map[unistring.String]bool{},
		values: map[unistring.String][]ast.Expression{}, unknown: map[unistring.String]bool{}, seen: map[any]bool{},
	}
	n.look(reflect.ValueOf(list))
	return n
}

func (n *names) look(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			n.look(v.Elem())
		}
	case reflect.Pointer:
		if v.IsNil() || n.seen[v.Interface()] {
			return
		}
		n.seen[v.Interface()] = true
		n.node(v.Interface())
		n.look(v.Elem())
	case reflect.Struct:
		if id, ok := v.Interface().(ast.Identifier); ok {
			n.name(id.Name)
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "DeclarationList" && f.Type != reflect.TypeFor[*file.File]() {
				n.look(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			n.look(v.Index(i))
		}
	}
}

func (n *names) name(name unistring.String) {
	n.all[name] = true
	switch name {
	case "BigInt", "BigInt64Array", "BigUint64Array", "getBigInt64", "getBigUint64":
		n.bigInts = true
	}
}

func (n *names) node(node any) {
	switch e := node.(type) {
	case *ast.NumberLiteral:
		switch e.Value.(type) {
		case int64, float64:
		default: // *big.Int
			n.bigInts = true
		}
	case *ast.StringLiteral:
		n.name(e.Value) // x["BigInt"]
	case *ast.Binding:
		n.bind(e.Target, e.Initializer, true)
	case *ast.ParameterList:
		for _, b := range e.List {
			n.forget(b)
		}
		n.forget(e.Rest)
	case *ast.CatchStatement:
		n.forget(e.Parameter)
	case *ast.ForInStatement:
		n.forget(e.Into)
	case *ast.ForOfStatement:
		n.forget(e.Into)
	case *ast.FunctionLiteral:
		n.forgetName(e.Name)
	case *ast.ClassLiteral:
		n.forgetName(e.Name)
	case *ast.AssignExpression:
		switch e.Operator {
		case token.ASSIGN, token.PLUS, token.LOGICAL_AND, token.LOGICAL_OR, token.COALESCE:
			n.bind(e.Left, e.Right, false)
		default: // the other compound ones make numbers
			n.bind(e.Left, &ast.NumberLiteral{Value: int64(0)}, false)
		}
	case *ast.UnaryExpression:
		if id, ok := e.Operand.(*ast.Identifier); ok && (e.Operator == token.INCREMENT || e.Operator == token.DECREMENT) {
			n.assigned[id.Name] = true
		}
	}
}

// bind notes that a target gets a value.
func (n *names) bind(target, value ast.Expression, declares bool) {
	id, ok := target.(*ast.Identifier)
	if !ok {
		n.forget(target)
		return
	}
	if declares {
		n.declared[id.Name] = true
	} else {
		n.assigned[id.Name] = true
	}
	if value != nil {
		n.values[id.Name] = append(n.values[id.Name], value)
	}
}

// forget notes that the names of a target get values that are not known.
func (n *names) forget(target any) {
	inner := &names{
		all: map[unistring.String]bool{}, declared: n.declared, assigned: n.assigned,
		values: n.values, unknown: n.unknown, seen: map[any]bool{},
	}
	if b, ok := target.(*ast.Binding); ok && b != nil {
		inner.look(reflect.ValueOf(b.Target))
	} else if target != nil {
		inner.look(reflect.ValueOf(target))
	}
	_, member := target.(*ast.DotExpression)
	_, element := target.(*ast.BracketExpression)
	for name := range inner.all {
		n.unknown[name] = true
		switch target.(type) {
		case *ast.ForIntoExpression:
			n.assigned[name] = true
		case ast.Expression, *ast.ForIntoVar, *ast.ForDeclaration:
			if !member && !element {
				n.assigned[name] = true
			}
		}
	}
	switch target.(type) {
	case *ast.Binding, *ast.ForIntoVar, *ast.ForDeclaration:
		for name := range inner.all {
			n.declared[name] = true
		}
	}
}

func (n *names) forgetName(id *ast.Identifier) {
	if id != nil {
		n.declared[id.Name], n.unknown[id.Name] = true, true
	}
}

// numbers returns the variables that never hold a string: whatever is assigned to
// them is a number when they are.
func (n *names) numbers(r *rewriter) map[unistring.String]bool {
	r.numbers = map[unistring.String]bool{}
	for name := range n.values {
		r.numbers[name] = !n.unknown[name]
	}
	for changed := true; changed; {
		changed = false
		for name, values := range n.values {
			for _, v := range values {
				if r.numbers[name] && !r.number(v) {
					r.numbers[name], changed = false, true
				}
			}
		}
	}
	return r.numbers
}

// implicit returns the names that are assigned and never declared. Scripts of the
// older kind do so, and must not meet each other's values on the global object.
func (n *names) implicit() []string {
	var list []string
	for name := range n.assigned {
		if !n.declared[name] && name != "module" && name != "exports" && name != "undefined" {
			list = append(list, name.String())
		}
	}
	return list
}

// fresh returns a name that the script does not have.
func (n *names) fresh(base string) unistring.String {
	name := unistring.NewFromString(base)
	for i := 0; n.all[name]; i++ {
		name = unistring.NewFromString(base + strconv.Itoa(i))
	}
	n.all[name] = true
	return name
}
