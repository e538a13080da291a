package layout

import (
	"fmt"
	"strconv"
)

const (
	// maxExpression bytes are more than anybody reads.
	maxExpression = 1024
	// maxNesting of parentheses and signs keeps the parser's stack small.
	maxNesting = 32
)

// names finds what an expression names.
type names interface {
	// lookup returns the value of a name, or false.
	lookup(name string) (expr, bool)
	// counter returns the number of a counter, or false.
	counter(name string) (int, bool)
}

// parser makes a typed expression of tokens, by precedence climbing.
type parser struct {
	tokens []token
	at     int
	depth  int
	names  names
}

// parseExpr compiles an expression. Its errors say where in the expression.
func parseExpr(text string, n names) (expr, error) {
	if len(text) > maxExpression {
		return expr{}, fmt.Errorf("expression of %d bytes, at most %d are allowed", len(text), maxExpression)
	}
	tokens, err := scan(text)
	if err != nil {
		return expr{}, err
	}
	p := &parser{tokens: tokens, names: n}
	e, err := p.ternary()
	if err != nil {
		return expr{}, err
	}
	if t := p.peek(); t.kind != 0 {
		return expr{}, fmt.Errorf("%q at %d is not expected", t.text, t.at+1)
	}
	return e, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != 0 {
		p.at++
	}
	return t
}

// accept takes the operator if it is next.
func (p *parser) accept(op string) bool {
	if t := p.peek(); t.kind == 'o' && t.text == op {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(op string) error {
	if !p.accept(op) {
		return fmt.Errorf("%q at %d: want %q", p.peek().text, p.peek().at+1, op)
	}
	return nil
}

func (p *parser) ternary() (expr, error) {
	if p.depth++; p.depth > maxNesting {
		return expr{}, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	cond, err := p.binary(0)
	if err != nil || !p.accept("?") {
		return cond, err
	}
	yes, err := p.ternary()
	if err != nil {
		return expr{}, err
	}
	if err := p.expect(":"); err != nil {
		return expr{}, err
	}
	no, err := p.ternary()
	if err != nil {
		return expr{}, err
	}
	return choose(cond, yes, no)
}

// levels are the binary operators from the loosest to the tightest.
var levels = [][]string{
	{"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">="}, {"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"},
}

func (p *parser) binary(level int) (expr, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := ""
		for _, candidate := range levels[level] {
			if p.accept(candidate) {
				op = candidate
				break
			}
		}
		if op == "" {
			return left, nil
		}
		var right expr
		if right, err = p.binary(level + 1); err == nil {
			left, err = combine(op, left, right)
		}
	}
	return expr{}, err
}

func (p *parser) unary() (expr, error) {
	if p.depth++; p.depth > maxNesting {
		return expr{}, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	for _, op := range []string{"-", "!", "~"} {
		if p.accept(op) {
			e, err := p.unary()
			if err != nil {
				return expr{}, err
			}
			return negate(op, e)
		}
	}
	return p.primary()
}

func (p *parser) primary() (expr, error) {
	t := p.next()
	switch {
	case t.kind == 'n':
		if v, err := strconv.ParseInt(t.text, 0, 64); err == nil {
			return intOf(v), nil
		}
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return expr{}, fmt.Errorf("%q at %d is no number", t.text, t.at+1)
		}
		return expr{t: typeFloat, f: func(*run) float64 { return f }}, nil
	case t.kind == 's':
		return textOf(t.text), nil
	case t.kind == 'o' && t.text == "(":
		e, err := p.ternary()
		if err != nil {
			return expr{}, err
		}
		return e, p.expect(")")
	case t.kind == 'a' && p.accept("("):
		return p.call(t)
	case t.kind == 'a' && (t.text == "true" || t.text == "false"):
		v := t.text == "true"
		return expr{t: typeBool, b: func(*run) bool { return v }}, nil
	case t.kind == 'a':
		if e, ok := p.names.lookup(t.text); ok {
			return e, nil
		}
		return expr{}, fmt.Errorf("%q at %d is no field before this place", t.text, t.at+1)
	}
	return expr{}, fmt.Errorf("%q at %d: want a value", t.text, t.at+1)
}

// call compiles a function; its opening parenthesis is taken already.
func (p *parser) call(name token) (expr, error) {
	if name.text == "next" {
		t := p.next()
		i, ok := p.names.counter(t.text)
		if !ok {
			return expr{}, fmt.Errorf("%q at %d is no counter", t.text, t.at+1)
		}
		return expr{t: typeInt, i: func(r *run) int64 { return r.count(i) }}, p.expect(")")
	}
	var args []expr
	for !p.accept(")") {
		if len(args) > 0 {
			if err := p.expect(","); err != nil {
				return expr{}, err
			}
		}
		e, err := p.ternary()
		if err != nil {
			return expr{}, err
		}
		args = append(args, e)
	}
	e, err := apply(name.text, args)
	if err != nil {
		return expr{}, fmt.Errorf("%s at %d: %w", name.text, name.at+1, err)
	}
	return e, nil
}
