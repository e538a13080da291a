package js

import (
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// Weights of expressions, in steps: those that make an object or call a function
// cost the engine, in time and memory, about as much as eight others.
const (
	plainWeight = 1
	heavyWeight = 8
)

// maxSubstitutions of one template: what it makes is measured when it is made.
const maxSubstitutions = 64

// rewriter instruments a syntax tree. Positions stay those of the source, so that
// errors name the line and the column that the author knows.
//
//   - Functions and the bodies of loops begin with step(w), w being the number of
//     expressions in them, nested functions and loops apart. Whatever runs for long
//     goes through one of them.
//   - Sums that may be strings, and templates, become made(x), which measures what
//     was made: a string that doubles grows without a loop that shows.
//   - What is spread (...x) becomes ...spread(x), for the same reason.
//   - Where this is the engine's global object it becomes the link's own.
//   - With BigInt in the source its products and powers are measured as well.
type rewriter struct {
	step, made, spread, members, small, base, real, own unistring.String // names that the source does not have
	numbers                                             map[unistring.String]bool
	bigInts                                             bool
	seen                                                map[any]bool // nodes that are reached twice
	fault                                               *fault
}

// fault is a reason to refuse a script.
type fault struct {
	at   file.Idx
	text string
}

// weigh instruments what v holds and returns its weight.
func (r *rewriter) weigh(v reflect.Value) int {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		w := r.weigh(v.Elem())
		if e, ok := v.Interface().(ast.Expression); ok && v.CanSet() {
			if other := r.replace(e); other != nil {
				v.Set(reflect.ValueOf(other))
			}
		}
		return w
	case reflect.Pointer:
		if v.IsNil() || r.seen[v.Interface()] {
			return 0
		}
		r.seen[v.Interface()] = true
		return r.node(v)
	case reflect.Struct:
		return r.fields(v)
	case reflect.Slice:
		w := 0
		for i := range v.Len() {
			w += r.weigh(v.Index(i))
		}
		return w
	default:
		return 0
	}
}

func (r *rewriter) fields(v reflect.Value) int {
	w := 0
	for i := range v.NumField() {
		switch f := v.Type().Field(i); {
		case !f.IsExported(), f.Name == "DeclarationList", f.Type == reflect.TypeFor[*file.File]():
		default:
			w += r.weigh(v.Field(i))
		}
	}
	return w
}

// node instruments one node and returns the weight that counts where it stands.
func (r *rewriter) node(v reflect.Value) int {
	switch n := v.Interface().(type) {
	case *ast.FunctionLiteral:
		w := r.fields(v.Elem())
		n.Body.List = prepend(n.Body.List, r.stepStatement(n.Function, w))
		return heavyWeight
	case *ast.ArrowFunctionLiteral:
		w := r.fields(v.Elem())
		switch body := n.Body.(type) {
		case *ast.BlockStatement:
			body.List = prepend(body.List, r.stepStatement(n.Start, w))
		case *ast.ExpressionBody:
			body.Expression = r.stepThen(n.Start, w, body.Expression)
		}
		return heavyWeight
	case *ast.FieldDefinition:
		w := r.fields(v.Elem())
		if n.Initializer != nil {
			n.Initializer = r.stepThen(n.Idx, w, n.Initializer)
		}
		return w
	case *ast.ForStatement, *ast.ForInStatement, *ast.ForOfStatement, *ast.WhileStatement, *ast.DoWhileStatement:
		return r.loop(v)
	case *ast.WithStatement:
		r.refuse(n.Idx0(), "with is not supported")
	case *ast.TemplateLiteral:
		if len(n.Expressions) > maxSubstitutions {
			r.refuse(n.Idx0(), "a template has more than 64 substitutions")
		}
		return heavyWeight + r.fields(v.Elem())
	case *ast.SpreadElement:
		w := r.fields(v.Elem())
		n.Expression = call(r.spread, n.Expression.Idx0(), n.Expression)
		return w + heavyWeight
	case *ast.ObjectLiteral:
		return heavyWeight + r.object(n)
	case *ast.ArrayPattern:
		r.rest(n.Idx0(), n.Rest)
		return heavyWeight + r.fields(v.Elem())
	case *ast.ObjectPattern:
		r.rest(n.Idx0(), n.Rest)
		return heavyWeight + r.fields(v.Elem())
	case *ast.RegExpLiteral:
		if patternSize(n.Pattern) > maxPattern {
			r.refuse(n.Idx, "the regular expression is too large with its repetitions written out")
		}
		return heavyWeight
	case *ast.CallExpression, *ast.NewExpression, *ast.ArrayLiteral,
		*ast.ClassLiteral, *ast.AwaitExpression, *ast.YieldExpression:
		return heavyWeight + r.fields(v.Elem())
	}
	return plainWeight + r.fields(v.Elem())
}

// object measures what an object literal copies ({...x}) by its members.
func (r *rewriter) object(n *ast.ObjectLiteral) int {
	w := 0
	for i, p := range n.Value {
		s, ok := p.(*ast.SpreadElement)
		if !ok {
			w += r.weigh(reflect.ValueOf(n.Value).Index(i))
			continue
		}
		w += heavyWeight + r.fields(reflect.ValueOf(s).Elem())
		s.Expression = call(r.members, s.Expression.Idx0(), s.Expression)
	}
	return w
}

// rest refuses what a pattern gathers without a bound. A function's rest parameter
// is no pattern, and bounded by the arguments.
func (r *rewriter) rest(at file.Idx, rest ast.Expression) {
	if rest != nil {
		r.refuse(at, "a rest element (...x) in a pattern is not supported, use slice()")
	}
}

// loop charges for each turn what is in the loop.
func (r *rewriter) loop(v reflect.Value) int {
	w := r.fields(v.Elem())
	body := v.Elem().FieldByName("Body")
	old, _ := body.Interface().(ast.Statement)
	at := old.Idx0()
	block := &ast.BlockStatement{LeftBrace: at, RightBrace: old.Idx1() - 1, List: []ast.Statement{
		r.stepStatement(at, w), old,
	}}
	body.Set(reflect.ValueOf(block))
	return w
}

func (r *rewriter) refuse(at file.Idx, text string) {
	if r.fault == nil {
		r.fault = &fault{at: at, text: text}
	}
}

// replace returns what an expression becomes, or nil.
func (r *rewriter) replace(e ast.Expression) ast.Expression {
	switch n := e.(type) {
	case *ast.BinaryExpression:
		return r.binary(n)
	case *ast.AssignExpression:
		switch {
		case n.Operator == token.PLUS && !r.number(n.Right):
			return call(r.made, n.Idx0(), n)
		case n.Operator == token.PLUS && !r.number(n.Left):
			return call(r.made, n.Idx0(), n)
		case r.bigInts && n.Operator == token.EXPONENT:
			r.refuse(n.Idx0(), "**= is not supported beside BigInt, write x = x ** y")
		case r.bigInts && (n.Operator == token.SHIFT_LEFT || n.Operator == token.SHIFT_RIGHT):
			n.Right = call(r.small, n.Right.Idx0(), n.Right)
			return call(r.made, n.Idx0(), n)
		case r.bigInts && n.Operator == token.MULTIPLY:
			return call(r.made, n.Idx0(), n)
		}
	case *ast.ThisExpression:
		return &ast.ConditionalExpression{
			Test: &ast.BinaryExpression{
				Operator: token.STRICT_EQUAL, Left: n, Right: &ast.Identifier{Name: r.real, Idx: n.Idx}, Comparison: true,
			},
			Consequent: &ast.Identifier{Name: r.own, Idx: n.Idx}, Alternate: n,
		}
	case *ast.TemplateLiteral:
		if n.Tag == nil && len(n.Expressions) > 0 {
			return call(r.made, n.Idx0(), n)
		}
	}
	return nil
}

func (r *rewriter) binary(n *ast.BinaryExpression) ast.Expression {
	switch {
	case n.Operator == token.PLUS && !(r.number(n.Left) && r.number(n.Right)):
		return call(r.made, n.Idx0(), n)
	case !r.bigInts:
		return nil
	case n.Operator == token.EXPONENT:
		n.Left = call(r.base, n.Left.Idx0(), n.Left)
		n.Right = call(r.small, n.Right.Idx0(), n.Right)
		return call(r.made, n.Idx0(), n)
	case n.Operator == token.SHIFT_LEFT, n.Operator == token.SHIFT_RIGHT:
		n.Right = call(r.small, n.Right.Idx0(), n.Right)
		return call(r.made, n.Idx0(), n)
	case n.Operator == token.MULTIPLY:
		return call(r.made, n.Idx0(), n)
	}
	return nil
}

// number reports whether an expression is never a string.
func (r *rewriter) number(e ast.Expression) bool {
	switch n := e.(type) {
	case *ast.NumberLiteral, *ast.BooleanLiteral, *ast.NullLiteral:
		return true
	case *ast.Identifier:
		return r.numbers[n.Name]
	case *ast.UnaryExpression:
		return n.Operator != token.TYPEOF
	case *ast.BinaryExpression:
		switch n.Operator {
		case token.MINUS, token.MULTIPLY, token.SLASH, token.REMAINDER, token.EXPONENT, token.AND, token.OR,
			token.EXCLUSIVE_OR, token.SHIFT_LEFT, token.SHIFT_RIGHT, token.UNSIGNED_SHIFT_RIGHT:
			return true
		case token.PLUS:
			return r.number(n.Left) && r.number(n.Right)
		}
		return n.Comparison
	case *ast.ConditionalExpression:
		return r.number(n.Consequent) && r.number(n.Alternate)
	}
	return false
}

func (r *rewriter) stepStatement(at file.Idx, w int) ast.Statement {
	return &ast.ExpressionStatement{Expression: r.stepCall(at, w)}
}

func (r *rewriter) stepThen(at file.Idx, w int, then ast.Expression) ast.Expression {
	return &ast.SequenceExpression{Sequence: []ast.Expression{r.stepCall(at, w), then}}
}

func (r *rewriter) stepCall(at file.Idx, w int) ast.Expression {
	return call(r.step, at, &ast.NumberLiteral{Idx: at, Value: int64(w + plainWeight)})
}

// call makes the call name(argument).
func call(name unistring.String, at file.Idx, argument ast.Expression) ast.Expression {
	return &ast.CallExpression{
		Callee: &ast.Identifier{Name: name, Idx: at}, LeftParenthesis: at,
		ArgumentList: []ast.Expression{argument}, RightParenthesis: at,
	}
}

// prepend puts a statement before the first, but behind "use strict" and its like.
func prepend(list []ast.Statement, first ast.Statement) []ast.Statement {
	n := directives(list)
	out := make([]ast.Statement, 0, len(list)+1)
	out = append(out, list[:n]...)
	return append(append(out, first), list[n:]...)
}

func directives(list []ast.Statement) int {
	for i, s := range list {
		e, ok := s.(*ast.ExpressionStatement)
		if !ok {
			return i
		}
		if _, ok := e.Expression.(*ast.StringLiteral); !ok {
			return i
		}
	}
	return len(list)
}
