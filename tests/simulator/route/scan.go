package route

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenSystem
	tokenString
	tokenNumber
	tokenOperator
	tokenBad
)

type token struct {
	kind   tokenKind
	text   string
	number float64
	at     int
}

// scanner cuts a route's text into tokens. Source paths are read by path instead, as
// they have characters of their own.
type scanner struct {
	text string
	at   int
	tok  token
}

func (s *scanner) next() {
	s.space()
	s.tok = token{at: s.at}
	if s.at >= len(s.text) {
		return
	}
	c := s.text[s.at]
	switch {
	case isLetter(c):
		s.tok.kind, s.tok.text = tokenName, s.name()
	case c == '$':
		s.at++
		s.tok.kind, s.tok.text = tokenSystem, "$"+s.name()
	case isDigit(c):
		s.number()
	case c == '\'' || c == '"':
		s.quoted(c)
	default:
		s.symbol()
	}
}

func (s *scanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

// name reads letters, digits, underscores, and hyphens that are inside the name.
func (s *scanner) name() string {
	start := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		inner := c == '-' && s.at > start && s.at+1 < len(s.text) && (isLetter(s.text[s.at+1]) || isDigit(s.text[s.at+1]))
		if !isLetter(c) && !isDigit(c) && !inner {
			break
		}
		s.at++
	}
	return s.text[start:s.at]
}

func (s *scanner) number() {
	start := s.at
	s.tok.kind = tokenNumber
	if strings.HasPrefix(s.text[s.at:], "0x") || strings.HasPrefix(s.text[s.at:], "0X") {
		s.at += 2
		for s.at < len(s.text) && strings.IndexByte("0123456789abcdefABCDEF", s.text[s.at]) >= 0 {
			s.at++
		}
		n, err := strconv.ParseUint(s.text[start+2:s.at], 16, 64)
		s.finishNumber(start, float64(n), err)
		return
	}
	for s.at < len(s.text) && (isDigit(s.text[s.at]) || s.text[s.at] == '.' || s.exponent(start)) {
		s.at++
	}
	n, err := strconv.ParseFloat(s.text[start:s.at], 64)
	s.finishNumber(start, n, err)
}

// exponent says whether the character belongs to an exponent: e, or its sign.
func (s *scanner) exponent(start int) bool {
	c, rest := s.text[s.at], s.text[s.at+1:]
	if c == 'e' || c == 'E' {
		rest = strings.TrimLeft(rest, "+-")
		return !strings.ContainsAny(s.text[start:s.at], "eE") && rest != "" && isDigit(rest[0])
	}
	before := s.text[s.at-1]
	return (c == '+' || c == '-') && (before == 'e' || before == 'E')
}

func (s *scanner) finishNumber(start int, n float64, err error) {
	s.tok.text, s.tok.number = s.text[start:s.at], n
	if err != nil || (s.at < len(s.text) && isLetter(s.text[s.at])) {
		s.tok.kind = tokenBad
	}
}

func (s *scanner) quoted(quote byte) {
	var b strings.Builder
	for s.at++; s.at < len(s.text); {
		c := s.text[s.at]
		s.at++
		switch {
		case c == quote:
			s.tok.kind, s.tok.text = tokenString, b.String()
			return
		case c == '\\':
			if !s.escape(&b) {
				s.tok.kind, s.tok.text = tokenBad, `\`
				return
			}
		default:
			b.WriteByte(c)
		}
	}
	s.tok.kind, s.tok.text = tokenBad, string(quote)
}

func (s *scanner) escape(b *strings.Builder) bool {
	if s.at >= len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	switch c {
	case '"', '\'', '\\':
		b.WriteByte(c)
	case 'u':
		if s.at+4 > len(s.text) {
			return false
		}
		n, err := strconv.ParseUint(s.text[s.at:s.at+4], 16, 16)
		if err != nil {
			return false
		}
		s.at += 4
		b.WriteRune(rune(n))
	default:
		return false
	}
	return true
}

func (s *scanner) symbol() {
	for _, op := range []string{"||", "??", "!=", "<>", "<=", ">="} {
		if strings.HasPrefix(s.text[s.at:], op) {
			s.tok.kind, s.tok.text = tokenOperator, op
			s.at += 2
			return
		}
	}
	r, size := utf8.DecodeRuneInString(s.text[s.at:])
	s.at += size
	s.tok.kind, s.tok.text = tokenOperator, string(r)
	if !strings.ContainsRune("()[]{}.,=<>+-*/%", r) {
		s.tok.kind = tokenBad
	}
}

// path reads a source path behind the current token: /item(/item)*.
func (s *scanner) path() (string, error) {
	s.space()
	start := s.at
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) < 0 {
		s.at++
	}
	path := s.text[start:s.at]
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%w: source %q at %d must begin with /", ErrSyntax, path, start)
	}
	for _, item := range strings.Split(path[1:], "/") {
		if item == "" || strings.ContainsAny(item, `"'(){}<>=,;`) {
			return "", fmt.Errorf("%w: source %q at %d has the segment %q", ErrSyntax, path, start, item)
		}
	}
	return path, nil
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
