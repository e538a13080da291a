package route

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxNesting bounds parentheses and operators inside one another, so that hostile text
// cannot exhaust the stack.
const maxNesting = 64

// maxIndex bounds an array index: no body of 256 KiB holds more elements.
const maxIndex = 262144

// expr computes one part of a condition.
type expr func(m *Message) value

type parser struct {
	scanner
	depth int
}

func (p *parser) unexpected(want string) error {
	got := strconv.Quote(p.tok.text)
	if p.tok.kind == tokenEnd {
		got = "the end"
	}
	return fmt.Errorf("%w: expected %s at %d, got %s", ErrSyntax, want, p.tok.at, got)
}

// keyword says whether the current token is that word, in any case.
func (p *parser) keyword(word string) bool {
	return p.tok.kind == tokenName && strings.EqualFold(p.tok.text, word)
}

// operator consumes the current token if it is that symbol.
func (p *parser) operator(text string) bool {
	if p.tok.kind != tokenOperator || p.tok.text != text {
		return false
	}
	p.next()
	return true
}

func (p *parser) condition() (expr, error) { return p.or() }

func (p *parser) or() (expr, error) {
	left, err := p.and()
	for err == nil && p.keyword("OR") {
		p.next()
		var right expr
		if right, err = p.and(); err == nil {
			l := left
			left = func(m *Message) value { return logicalOr(l(m), right, m) }
		}
	}
	return left, err
}

func (p *parser) and() (expr, error) {
	left, err := p.not()
	for err == nil && p.keyword("AND") {
		p.next()
		var right expr
		if right, err = p.not(); err == nil {
			l := left
			left = func(m *Message) value { return logicalAnd(l(m), right, m) }
		}
	}
	return left, err
}

func (p *parser) not() (expr, error) {
	if !p.keyword("NOT") {
		return p.comparison()
	}
	p.next()
	return p.nested(func() (expr, error) {
		inner, err := p.not()
		return func(m *Message) value { return logicalNot(inner(m)) }, err
	})
}

func (p *parser) comparison() (expr, error) {
	left, err := p.coalesce()
	for err == nil && p.tok.kind == tokenOperator && strings.Contains(" = != <> < <= > >= ", " "+p.tok.text+" ") {
		op := p.tok.text
		p.next()
		var right expr
		if right, err = p.coalesce(); err == nil {
			l := left
			left = func(m *Message) value { return compare(op, l(m), right(m)) }
		}
	}
	return left, err
}

func (p *parser) coalesce() (expr, error) {
	left, err := p.sum()
	for err == nil && p.operator("??") {
		var right expr
		if right, err = p.sum(); err == nil {
			l := left
			left = func(m *Message) value {
				if v := l(m); v.kind != kindUndefined {
					return v
				}
				return right(m)
			}
		}
	}
	return left, err
}

func (p *parser) sum() (expr, error) { return p.binary("+ - ||", p.product) }

func (p *parser) product() (expr, error) { return p.binary("* / %", p.unary) }

func (p *parser) binary(operators string, operand func() (expr, error)) (expr, error) {
	left, err := operand()
	for err == nil && p.tok.kind == tokenOperator && strings.Contains(" "+operators+" ", " "+p.tok.text+" ") {
		op := p.tok.text
		p.next()
		var right expr
		if right, err = operand(); err == nil {
			l := left
			left = func(m *Message) value { return arithmetic(op, l(m), right(m)) }
		}
	}
	return left, err
}

func (p *parser) unary() (expr, error) {
	if !p.operator("-") {
		return p.primary()
	}
	return p.nested(func() (expr, error) {
		inner, err := p.unary()
		return func(m *Message) value { return arithmetic("-", number(0), inner(m)) }, err
	})
}

// nested runs one level deeper and refuses to go too deep.
func (p *parser) nested(f func() (expr, error)) (expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("%w: nested deeper than %d at %d", ErrSyntax, maxNesting, p.tok.at)
	}
	defer func() { p.depth-- }()
	return f()
}

func (p *parser) primary() (expr, error) {
	tok := p.tok
	switch tok.kind {
	case tokenString:
		p.next()
		return constant(text(tok.text)), nil
	case tokenNumber:
		p.next()
		return constant(number(tok.number)), nil
	case tokenSystem:
		return p.system(false)
	case tokenName:
		return p.named()
	}
	switch {
	case p.operator("("):
		return p.nested(func() (expr, error) {
			inner, err := p.condition()
			if err == nil && !p.operator(")") {
				err = p.unexpected(")")
			}
			return inner, err
		})
	case p.operator("{"):
		if p.tok.kind != tokenSystem {
			return nil, p.unexpected("$name inside { }")
		}
		inner, err := p.system(true)
		if err == nil && !p.operator("}") {
			err = p.unexpected("}")
		}
		return inner, err
	}
	return nil, p.unexpected("a value")
}

// named reads a literal word, a function call or a user property.
func (p *parser) named() (expr, error) {
	switch p.tok.text {
	case "true", "false":
		v := boolean(p.tok.text == "true")
		p.next()
		return constant(v), nil
	case "null":
		p.next()
		return constant(value{kind: kindNull}), nil
	case "undefined":
		p.next()
		return constant(value{}), nil
	}
	for _, word := range []string{"INTO", "FROM", "WHERE", "SELECT", "AND", "OR", "NOT"} {
		if p.keyword(word) {
			return nil, p.unexpected("a value")
		}
	}
	at := p.tok
	name, err := p.dotted()
	if err != nil {
		return nil, err
	}
	if p.operator("(") {
		return p.nested(func() (expr, error) { return p.call(at, name) })
	}
	return func(m *Message) value { return lookup(m.Properties, name) }, nil
}

func (p *parser) dotted() (string, error) {
	name := p.tok.text
	p.next()
	for p.operator(".") {
		if p.tok.kind != tokenName {
			return "", p.unexpected("a name after .")
		}
		name += "." + p.tok.text
		p.next()
	}
	return name, nil
}

// system reads $name or $body and what follows; forced rules out a user property of
// that name.
func (p *parser) system(forced bool) (expr, error) {
	name := p.tok.text
	if name == "$" {
		return nil, p.unexpected("a name after $")
	}
	p.next()
	if strings.EqualFold(name, "$body") {
		steps, err := p.steps()
		return func(m *Message) value { return bodyValue(m, steps) }, err
	}
	return func(m *Message) value {
		if !forced {
			if v := lookup(m.Properties, name); v.kind != kindUndefined {
				return v
			}
		}
		return lookup(m.System, name[1:])
	}, nil
}

// steps reads a body path: names behind dots, indexes in brackets.
func (p *parser) steps() ([]step, error) {
	var steps []step
	for {
		switch {
		case p.operator("."):
			if p.tok.kind != tokenName && p.tok.kind != tokenSystem {
				return nil, p.unexpected("a name after .")
			}
			steps = append(steps, step{name: p.tok.text})
			p.next()
		case p.operator("["):
			switch p.tok.kind {
			case tokenNumber:
				if p.tok.number > maxIndex || p.tok.number != math.Trunc(p.tok.number) {
					return nil, p.unexpected("a whole index")
				}
				steps = append(steps, step{index: int(p.tok.number), indexed: true})
			case tokenString:
				steps = append(steps, step{name: p.tok.text})
			default:
				return nil, p.unexpected("an index")
			}
			p.next()
			if !p.operator("]") {
				return nil, p.unexpected("]")
			}
		default:
			return steps, nil
		}
	}
}
