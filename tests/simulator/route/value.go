package route

import (
	"math"
	"strings"
)

type kind int

const (
	kindUndefined kind = iota
	kindNull
	kindBool
	kindNumber
	kindString
)

// value is one operand; its zero value is undefined.
type value struct {
	kind kind
	flag bool
	num  float64
	str  string
}

func boolean(b bool) value   { return value{kind: kindBool, flag: b} }
func number(n float64) value { return value{kind: kindNumber, num: n} }
func text(s string) value    { return value{kind: kindString, str: s} }

func constant(v value) expr { return func(*Message) value { return v } }

func (v value) isTrue() bool  { return v.kind == kindBool && v.flag }
func (v value) isFalse() bool { return v.kind == kindBool && !v.flag }

func logicalAnd(left value, right expr, m *Message) value {
	if left.isFalse() {
		return left
	}
	r := right(m)
	switch {
	case r.isFalse():
		return r
	case left.isTrue() && r.isTrue():
		return r
	}
	return value{}
}

func logicalOr(left value, right expr, m *Message) value {
	if left.isTrue() {
		return left
	}
	r := right(m)
	switch {
	case r.isTrue():
		return r
	case left.isFalse() && r.isFalse():
		return r
	}
	return value{}
}

func logicalNot(v value) value {
	if v.kind != kindBool {
		return value{}
	}
	return boolean(!v.flag)
}

// compare is undefined unless both sides have one type; only numbers and strings have
// an order. Strings are compared byte by byte.
func compare(op string, a, b value) value {
	if a.kind == kindUndefined || a.kind != b.kind {
		return value{}
	}
	switch op {
	case "=":
		return boolean(a == b)
	case "!=", "<>":
		return boolean(a != b)
	}
	var order int
	switch a.kind {
	case kindNumber:
		if math.IsNaN(a.num) || math.IsNaN(b.num) {
			return value{}
		}
		order = ordered(a.num, b.num)
	case kindString:
		order = strings.Compare(a.str, b.str)
	default:
		return value{}
	}
	switch op {
	case "<":
		return boolean(order < 0)
	case "<=":
		return boolean(order <= 0)
	case ">":
		return boolean(order > 0)
	default:
		return boolean(order >= 0)
	}
}

func ordered(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func arithmetic(op string, a, b value) value {
	if op == "||" {
		if a.kind != kindString || b.kind != kindString {
			return value{}
		}
		return text(a.str + b.str)
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return value{}
	}
	switch op {
	case "+":
		return number(a.num + b.num)
	case "-":
		return number(a.num - b.num)
	case "*":
		return number(a.num * b.num)
	case "/":
		return number(a.num / b.num)
	default:
		return number(math.Mod(a.num, b.num))
	}
}

// lookup finds a property: the exact name first, then any name that differs in case.
func lookup(properties map[string]string, name string) value {
	if v, ok := properties[name]; ok {
		return text(v)
	}
	for key, v := range properties {
		if strings.EqualFold(key, name) {
			return text(v)
		}
	}
	return value{}
}
