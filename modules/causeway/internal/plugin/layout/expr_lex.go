package layout

import (
	"fmt"
	"strings"
)

// token is a piece of an expression: its kind is 'n' for a number, 'a' for a name,
// 's' for text, 'o' for an operator, and 0 at the end.
type token struct {
	kind byte
	text string
	at   int
}

// operators are the symbols, longest first.
var operators = []string{
	"<<", ">>", "==", "!=", "<=", ">=", "&&", "||",
	"+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "(", ")", "?", ":", ",",
}

// scan cuts an expression into tokens.
func scan(text string) ([]token, error) {
	var all []token
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
			continue
		case isDigit(c):
			n := runOf(text[i:], func(c byte) bool { return isDigit(c) || isLetter(c) || c == '.' })
			all = append(all, token{'n', text[i : i+n], i})
			i += n
		case isLetter(c):
			n := runOf(text[i:], func(c byte) bool { return isDigit(c) || isLetter(c) || c == '.' })
			all = append(all, token{'a', text[i : i+n], i})
			i += n
		case c == '\'' || c == '"':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return nil, fmt.Errorf("the text that begins at %d has no end", i+1)
			}
			all = append(all, token{'s', text[i+1 : i+1+n], i})
			i += n + 2
		default:
			op := operatorAt(text[i:])
			if op == "" {
				return nil, fmt.Errorf("%q at %d is no operator", c, i+1)
			}
			all = append(all, token{'o', op, i})
			i += len(op)
		}
	}
	return append(all, token{0, "the end", len(text)}), nil
}

func operatorAt(text string) string {
	for _, op := range operators {
		if strings.HasPrefix(text, op) {
			return op
		}
	}
	return ""
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

// runOf is how many bytes at the front are of the set.
func runOf(text string, in func(byte) bool) int {
	n := 0
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}
