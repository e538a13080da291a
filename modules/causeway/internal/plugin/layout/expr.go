package layout

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// typ is the type of an expression, known when the layout is compiled.
type typ uint8

const (
	typeNone typ = iota // what has no value in expressions: arrays, groups
	typeInt
	typeFloat
	typeBool
	typeText
)

func (t typ) String() string {
	return [...]string{"no value", "an integer", "a number", "a truth value", "text"}[t]
}

// expr is a compiled expression: the one function of its type is set.
type expr struct {
	t typ
	i func(*run) int64
	f func(*run) float64
	b func(*run) bool
	s func(*run) []byte
	// literal is set for text that is written in the layout.
	literal *string
	// constant is set for an integer that is written in the layout.
	constant *int64
	// word is set where the value is always a text of the layout.
	word func(*run) string
	// field is set for a plain name of a field, which renders itself.
	field *field
}

func intOf(v int64) expr { return expr{t: typeInt, i: func(*run) int64 { return v }, constant: &v} }

func textOf(text string) expr {
	b := []byte(text)
	return expr{t: typeText, literal: &text, s: func(*run) []byte { return b }, word: func(*run) string { return text }}
}

// reference is a field's value in expressions.
func reference(f *field) expr {
	slot := f.slot
	e := expr{t: f.typ, field: f}
	switch {
	case f.form == formTime:
		e.i = func(r *run) int64 { return r.cells[slot].n / nanosPerSecond }
	case f.typ == typeInt:
		e.i = func(r *run) int64 { return r.cells[slot].n }
	case f.typ == typeFloat:
		e.f = func(r *run) float64 { return r.cells[slot].float() }
	case f.typ == typeBool:
		e.b = func(r *run) bool { return r.cells[slot].n != 0 }
	case f.typ == typeText:
		e.s = func(r *run) []byte { return r.cells[slot].b }
	}
	return e
}

// float turns an integer into a number.
func (e expr) float() expr {
	if e.t != typeInt {
		return e
	}
	i := e.i
	return expr{t: typeFloat, f: func(r *run) float64 { return float64(i(r)) }}
}

func (e expr) numeric() bool { return e.t == typeInt || e.t == typeFloat }

// code replaces a text by the number that it names in the other side's enumeration.
func (e expr) code(other expr) (expr, error) {
	if e.literal == nil || other.field == nil || other.field.enum == nil {
		return e, nil
	}
	for number, name := range other.field.enum {
		if name == *e.literal {
			return intOf(number), nil
		}
	}
	return e, fmt.Errorf("%q is no name of field %q", *e.literal, other.field.name)
}

func choose(cond, yes, no expr) (expr, error) {
	if cond.t != typeBool {
		return expr{}, fmt.Errorf("before ? stands %s, want a truth value", cond.t)
	}
	if yes.t != no.t && yes.numeric() && no.numeric() {
		yes, no = yes.float(), no.float()
	}
	if yes.t != no.t || yes.t == typeNone {
		return expr{}, fmt.Errorf("behind ? stand %s and %s", yes.t, no.t)
	}
	var word func(*run) string
	switch {
	case yes.literal != nil && no.literal != nil:
		word = pickWord(cond.b, *yes.literal, *no.literal)
	case yes.word != nil && no.word != nil:
		word = pick(cond.b, yes.word, no.word)
	}
	return expr{
		t: yes.t, word: word,
		i: pick(cond.b, yes.i, no.i), f: pick(cond.b, yes.f, no.f),
		b: pick(cond.b, yes.b, no.b), s: pick(cond.b, yes.s, no.s),
	}, nil
}

func pick[T any](cond func(*run) bool, yes, no func(*run) T) func(*run) T {
	if yes == nil {
		return nil
	}
	return func(r *run) T {
		if cond(r) {
			return yes(r)
		}
		return no(r)
	}
}

func pickWord(cond func(*run) bool, yes, no string) func(*run) string {
	return func(r *run) string {
		if cond(r) {
			return yes
		}
		return no
	}
}

func negate(op string, e expr) (expr, error) {
	switch {
	case op == "-" && e.t == typeInt:
		return expr{t: typeInt, i: func(r *run) int64 { return -e.i(r) }}, nil
	case op == "-" && e.t == typeFloat:
		return expr{t: typeFloat, f: func(r *run) float64 { return -e.f(r) }}, nil
	case op == "~" && e.t == typeInt:
		return expr{t: typeInt, i: func(r *run) int64 { return ^e.i(r) }}, nil
	case op == "!" && e.t == typeBool:
		return expr{t: typeBool, b: func(r *run) bool { return !e.b(r) }}, nil
	}
	return expr{}, fmt.Errorf("%s before %s", op, e.t)
}

func combine(op string, a, b expr) (expr, error) {
	a, errA := a.code(b)
	b, errB := b.code(a)
	if err := errors.Join(errA, errB); err != nil {
		return expr{}, err
	}
	if op == "/" || a.t == typeFloat && b.numeric() || b.t == typeFloat && a.numeric() {
		a, b = a.float(), b.float()
	}
	if a.t == b.t {
		switch a.t {
		case typeInt:
			return combineInts(op, a.i, b.i)
		case typeFloat:
			return combineFloats(op, a.f, b.f)
		case typeBool:
			return combineBools(op, a.b, b.b)
		case typeText:
			return combineTexts(op, a.s, b.s)
		}
	}
	return expr{}, fmt.Errorf("%s between %s and %s", op, a.t, b.t)
}

func combineInts(op string, a, b func(*run) int64) (expr, error) {
	truth := func(f func(*run) bool) (expr, error) { return expr{t: typeBool, b: f}, nil }
	number := func(f func(*run) int64) (expr, error) { return expr{t: typeInt, i: f}, nil }
	switch op {
	case "==":
		return truth(func(r *run) bool { return a(r) == b(r) })
	case "!=":
		return truth(func(r *run) bool { return a(r) != b(r) })
	case "<":
		return truth(func(r *run) bool { return a(r) < b(r) })
	case "<=":
		return truth(func(r *run) bool { return a(r) <= b(r) })
	case ">":
		return truth(func(r *run) bool { return a(r) > b(r) })
	case ">=":
		return truth(func(r *run) bool { return a(r) >= b(r) })
	case "+":
		return number(func(r *run) int64 { return a(r) + b(r) })
	case "-":
		return number(func(r *run) int64 { return a(r) - b(r) })
	case "*":
		return number(func(r *run) int64 { return a(r) * b(r) })
	case "&":
		return number(func(r *run) int64 { return a(r) & b(r) })
	case "|":
		return number(func(r *run) int64 { return a(r) | b(r) })
	case "^":
		return number(func(r *run) int64 { return a(r) ^ b(r) })
	case "<<":
		return number(func(r *run) int64 { return a(r) << (b(r) & 63) })
	case ">>":
		return number(func(r *run) int64 { return a(r) >> (b(r) & 63) })
	case "%":
		return number(func(r *run) int64 { return r.divide(a(r), b(r), true) })
	}
	return expr{}, fmt.Errorf("%s between integers", op)
}

func combineFloats(op string, a, b func(*run) float64) (expr, error) {
	truth := func(f func(*run) bool) (expr, error) { return expr{t: typeBool, b: f}, nil }
	number := func(f func(*run) float64) (expr, error) { return expr{t: typeFloat, f: f}, nil }
	switch op {
	case "==":
		return truth(func(r *run) bool { return a(r) == b(r) })
	case "!=":
		return truth(func(r *run) bool { return a(r) != b(r) })
	case "<":
		return truth(func(r *run) bool { return a(r) < b(r) })
	case "<=":
		return truth(func(r *run) bool { return a(r) <= b(r) })
	case ">":
		return truth(func(r *run) bool { return a(r) > b(r) })
	case ">=":
		return truth(func(r *run) bool { return a(r) >= b(r) })
	case "+":
		return number(func(r *run) float64 { return a(r) + b(r) })
	case "-":
		return number(func(r *run) float64 { return a(r) - b(r) })
	case "*":
		return number(func(r *run) float64 { return a(r) * b(r) })
	case "/":
		return number(func(r *run) float64 { return a(r) / b(r) })
	}
	return expr{}, fmt.Errorf("%s between numbers", op)
}

func combineBools(op string, a, b func(*run) bool) (expr, error) {
	var f func(*run) bool
	switch op {
	case "&&":
		f = func(r *run) bool { return a(r) && b(r) }
	case "||":
		f = func(r *run) bool { return a(r) || b(r) }
	case "==":
		f = func(r *run) bool { return a(r) == b(r) }
	case "!=":
		f = func(r *run) bool { return a(r) != b(r) }
	default:
		return expr{}, fmt.Errorf("%s between truth values", op)
	}
	return expr{t: typeBool, b: f}, nil
}

func combineTexts(op string, a, b func(*run) []byte) (expr, error) {
	switch op {
	case "==":
		return expr{t: typeBool, b: func(r *run) bool { return bytes.Equal(a(r), b(r)) }}, nil
	case "!=":
		return expr{t: typeBool, b: func(r *run) bool { return !bytes.Equal(a(r), b(r)) }}, nil
	case "+":
		return expr{t: typeText, s: func(r *run) []byte {
			left, right := a(r), b(r)
			return r.keep(left, right)
		}}, nil
	}
	return expr{}, fmt.Errorf("%s between texts", op)
}

// apply compiles a call of a function.
func apply(name string, args []expr) (expr, error) {
	one := func(t typ) bool { return len(args) == 1 && args[0].t == t }
	two := len(args) == 2 && args[0].numeric() && args[1].numeric()
	switch {
	case name == "len" && one(typeText):
		s := args[0].s
		return expr{t: typeInt, i: func(r *run) int64 { return int64(len(s(r))) }}, nil
	case name == "has" && len(args) == 1 && args[0].field != nil:
		slot := args[0].field.slot
		return expr{t: typeBool, b: func(r *run) bool { return r.cells[slot].def != nil }}, nil
	case name == "int" && one(typeFloat):
		f := args[0].f
		return expr{t: typeInt, i: func(r *run) int64 { return whole(f(r)) }}, nil
	case name == "abs" && len(args) == 1 && args[0].numeric():
		f := args[0].float().f
		return expr{t: typeFloat, f: func(r *run) float64 { return math.Abs(f(r)) }}, nil
	case name == "div" && len(args) == 2 && args[0].t == typeInt && args[1].t == typeInt:
		a, b := args[0].i, args[1].i
		return expr{t: typeInt, i: func(r *run) int64 { return r.divide(a(r), b(r), false) }}, nil
	case name == "text" && len(args) == 1 && args[0].t != typeNone:
		e := args[0]
		return expr{t: typeText, s: func(r *run) []byte { return r.textOf(&e) }}, nil
	case (name == "min" || name == "max") && two:
		a, b := args[0].float().f, args[1].float().f
		if name == "min" {
			return expr{t: typeFloat, f: func(r *run) float64 { return min(a(r), b(r)) }}, nil
		}
		return expr{t: typeFloat, f: func(r *run) float64 { return max(a(r), b(r)) }}, nil
	}
	return expr{}, errors.New("functions are len(text), has(field), int(number), abs(number), div(int, int), " +
		"min(number, number), max(number, number), text(value), next(counter)")
}

// whole rounds to the nearest integer; what is none becomes 0.
func whole(f float64) int64 {
	if f = math.Round(f); f >= -math.MaxInt64 && f <= math.MaxInt64 {
		if v := int64(f); (v < 0) == (f < 0) {
			return v
		}
	}
	return 0
}
