package route

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// function is a built-in: how many arguments it takes, and what it computes.
type function struct {
	least, most int
	run         func(args []value) value
}

// maxArguments bounds concat, the one function with a free number of arguments.
const maxArguments = 64

// builtins returns the function of a lower-case name.
func builtins(name string) (function, bool) {
	if f, ok := numeric(name); ok {
		return f, true
	}
	if f, ok := typing(name); ok {
		return f, true
	}
	return textual(name)
}

func numeric(name string) (function, bool) {
	one := func(f func(float64) float64) (function, bool) {
		return function{1, 1, func(a []value) value {
			if a[0].kind != kindNumber {
				return value{}
			}
			return number(f(a[0].num))
		}}, true
	}
	switch name {
	case "abs":
		return one(math.Abs)
	case "exp":
		return one(math.Exp)
	case "square":
		return one(func(n float64) float64 { return n * n })
	case "ceiling":
		return one(math.Ceil)
	case "floor":
		return one(math.Floor)
	case "sqrt":
		return one(math.Sqrt)
	case "sign":
		return one(func(n float64) float64 { return float64(ordered(n, 0)) })
	case "power":
		return function{2, 2, func(a []value) value {
			if a[0].kind != kindNumber || a[1].kind != kindNumber {
				return value{}
			}
			return number(math.Pow(a[0].num, a[1].num))
		}}, true
	}
	return function{}, false
}

func typing(name string) (function, bool) {
	is := func(k kind) (function, bool) {
		return function{1, 1, func(a []value) value { return boolean(a[0].kind == k) }}, true
	}
	switch name {
	case "as_number":
		return function{1, 1, asNumber}, true
	case "is_bool":
		return is(kindBool)
	case "is_null":
		return is(kindNull)
	case "is_number":
		return is(kindNumber)
	case "is_string":
		return is(kindString)
	case "is_defined":
		return function{1, 1, func(a []value) value { return boolean(a[0].kind != kindUndefined) }}, true
	}
	return function{}, false
}

func asNumber(a []value) value {
	if a[0].kind == kindNumber {
		return a[0]
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(a[0].str), 64)
	if a[0].kind != kindString || err != nil {
		return value{}
	}
	return number(n)
}

func textual(name string) (function, bool) {
	two := func(f func(a, b string) value) (function, bool) {
		return function{2, 2, strings2(f)}, true
	}
	switch name {
	case "concat":
		return function{2, maxArguments, concat}, true
	case "length":
		return function{1, 1, strings1(func(s string) value { return number(float64(utf8.RuneCountInString(s))) })}, true
	case "lower":
		return function{1, 1, strings1(func(s string) value { return text(strings.ToLower(s)) })}, true
	case "upper":
		return function{1, 1, strings1(func(s string) value { return text(strings.ToUpper(s)) })}, true
	case "substring":
		return function{2, 3, substring}, true
	case "index_of":
		return two(func(a, b string) value {
			at := strings.Index(a, b)
			if at > 0 {
				at = utf8.RuneCountInString(a[:at])
			}
			return number(float64(at))
		})
	case "starts_with":
		return two(func(a, b string) value { return boolean(strings.HasPrefix(a, b)) })
	case "ends_with":
		return two(func(a, b string) value { return boolean(strings.HasSuffix(a, b)) })
	case "contains":
		return two(func(a, b string) value { return boolean(strings.Contains(a, b)) })
	}
	return function{}, false
}

func strings1(f func(string) value) func([]value) value {
	return func(a []value) value {
		if a[0].kind != kindString {
			return value{}
		}
		return f(a[0].str)
	}
}

func strings2(f func(a, b string) value) func([]value) value {
	return func(a []value) value {
		if a[0].kind != kindString || a[1].kind != kindString {
			return value{}
		}
		return f(a[0].str, a[1].str)
	}
}

func concat(args []value) value {
	var b strings.Builder
	for _, a := range args {
		if a.kind != kindString {
			return value{}
		}
		b.WriteString(a.str)
	}
	return text(b.String())
}

// substring(text, start[, length]) counts characters from 0 and stops at the end.
func substring(args []value) value {
	if args[0].kind != kindString || args[1].kind != kindNumber {
		return value{}
	}
	runes := []rune(args[0].str)
	start, length := args[1].num, float64(len(runes))
	if len(args) == 3 {
		if args[2].kind != kindNumber {
			return value{}
		}
		length = args[2].num
	}
	if !(start >= 0 && start <= float64(len(runes))) || !(length >= 0) {
		return value{}
	}
	end := math.Min(start+length, float64(len(runes)))
	return text(string(runes[int(start):int(end)]))
}

// call reads the arguments of a function behind its opening parenthesis.
func (p *parser) call(at token, name string) (expr, error) {
	lower := strings.ToLower(name)
	if lower == "twin_change_includes" {
		return p.twinChange()
	}
	f, ok := builtins(lower)
	if !ok {
		return nil, fmt.Errorf("%w: unknown function %q at %d", ErrSyntax, name, at.at)
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if len(args) < f.least || len(args) > f.most {
		return nil, fmt.Errorf("%w: %s at %d takes %d to %d arguments, got %d",
			ErrSyntax, name, at.at, f.least, f.most, len(args))
	}
	return func(m *Message) value {
		values := make([]value, len(args))
		for i, arg := range args {
			values[i] = arg(m)
		}
		return f.run(values)
	}, nil
}

func (p *parser) arguments() ([]expr, error) {
	var args []expr
	for !p.operator(")") {
		if len(args) > 0 && !p.operator(",") {
			return nil, p.unexpected(", or )")
		}
		arg, err := p.condition()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// twinChange reads twin_change_includes(path): whether a twin change touches the path.
// On messages from elsewhere it is undefined.
func (p *parser) twinChange() (expr, error) {
	if p.tok.kind != tokenName {
		return nil, p.unexpected("a path such as properties.reported.name")
	}
	path, err := p.dotted()
	if err != nil {
		return nil, err
	}
	if !p.operator(")") {
		return nil, p.unexpected(")")
	}
	var steps []step
	for _, name := range strings.Split(path, ".") {
		steps = append(steps, step{name: name})
	}
	return func(m *Message) value {
		var change map[string]any
		if !strings.EqualFold(m.Source, TwinChangeSource) || json.Unmarshal(m.Body, &change) != nil {
			return value{}
		}
		_, absent := follow(any(change), steps).(missing)
		return boolean(!absent)
	}, nil
}
