package js

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// ErrScript is wrapped by the errors of scripts that are refused when they are
// loaded.
var ErrScript = errors.New("script refused")

// maxNesting of brackets: the parser and the compiler recurse, and a Go stack that
// is used up ends the process.
const maxNesting = 500

// Program is a compiled script. It makes codecs, and is safe for concurrent use.
type Program struct {
	name       string
	limits     Limits
	code       *goja.Program
	prelude    *goja.Program
	backtracks bool // it has regular expressions that may try for long
	framed     bool
	formatter  bool
	examples   []Example

	mu     sync.Mutex
	realms []*realm
	closed bool
}

// regexClock bounds the regular expressions that goja hands to regexp2, whose
// limit is a variable of that library; it is set once, before the first script.
var regexClock = sync.OnceFunc(func() { //nolint:gochecknoglobals // guards a variable of the library
	regexp2.DefaultMatchTimeout = regexTime
})

// prelude compiles the prelude once; what is compiled is read-only.
var prelude = sync.OnceValues(func() (*goja.Program, error) { //nolint:gochecknoglobals // as above
	return instrument("prelude.js", preludeSource, "host, global", []string{"tools"})
})

// Compile compiles a script and runs its top level once, on trial. The name is what
// errors call it, a file name without folders as a rule. Errors wrap [ErrScript] and
// name line and column.
func Compile(name string, source []byte, limits Limits) (*Program, error) {
	regexClock()
	limits = limits.withDefaults()
	p := &Program{name: name, limits: limits}
	if len(source) > limits.SourceBytes {
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are allowed: %w",
			name, len(source), limits.SourceBytes, ErrScript)
	}
	text := string(bytes.TrimPrefix(source, []byte("\ufeff")))
	for _, mark := range []string{"(?=", "(?!", "(?<=", "(?<!", `\1`, `\2`, `\3`, `\k<`, "RegExp"} {
		p.backtracks = p.backtracks || strings.Contains(text, mark)
	}
	var err error
	if p.code, err = instrument(name, text, "module, exports, globalThis", entryNames); err != nil {
		return nil, err
	}
	if p.prelude, err = prelude(); err != nil {
		return nil, err
	}
	if err := p.try(text); err != nil {
		return nil, err
	}
	return p, nil
}

// try begins one instance, to learn what the script offers.
func (p *Program) try(text string) error {
	r, err := newRealm(p)
	if err != nil {
		return err
	}
	i, err := r.instance()
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrScript)
	}
	p.framed = i.functions["split"] != nil
	p.formatter = i.functions["receive"] == nil
	if p.formatter && i.decoder() == "" {
		return fmt.Errorf("%s: has none of the functions receive, decodeUplink, Decoder, Decode: %w", p.name, ErrScript)
	}
	if p.examples, err = r.examples(i, text); err != nil {
		return fmt.Errorf("%w: %w", err, ErrScript)
	}
	p.realms = []*realm{r}
	return nil
}

// Close lets go of the engines. Links that still run end with their next frame.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, r := range p.realms {
		r.dead.Store(true)
	}
	p.realms = nil
	return nil
}

// instrument compiles a script to a function of the instruments, see rewriter, and
// of the parameters; it returns an object of the entries that the script declares.
func instrument(name, source, parameters string, entries []string) (code *goja.Program, err error) {
	defer func() { // the parser and the compiler of the engine are not proof against everything
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: the compiler failed: %v: %w", name, v, ErrScript)
		}
	}()
	if at := nesting(source); at >= 0 {
		return nil, refusal(name, source, file.Idx(at+1), fmt.Sprintf("brackets are nested more than %d deep", maxNesting))
	}
	program, err := parser.ParseFile(nil, name, source, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, syntax(name, err)
	}
	known := survey(program.Body)
	r := &rewriter{
		step: known.fresh("step"), made: known.fresh("made"), spread: known.fresh("spread"),
		members: known.fresh("members"), small: known.fresh("small"), base: known.fresh("base"),
		real: known.fresh("real"), own: known.fresh("own"),
		bigInts: known.bigInts, seen: map[any]bool{},
	}
	known.numbers(r)
	w := r.weigh(reflect.ValueOf(program.Body))
	if r.fault != nil {
		return nil, refusal(name, source, r.fault.at, r.fault.text)
	}
	shell, err := parser.ParseFile(nil, name, shellOf(r, known, parameters, entries), 0)
	if err != nil {
		return nil, syntax(name, err)
	}
	function, ok := shell.Body[0].(*ast.ExpressionStatement).Expression.(*ast.FunctionLiteral)
	if !ok {
		return nil, fmt.Errorf("%s: the shell of the script is no function", name)
	}
	n := directives(program.Body)
	own := function.Body.List
	first := []ast.Statement{own[0], r.stepStatement(1, w)}
	function.Body.List = slices.Concat(program.Body[:n], first, program.Body[n:], own[1:])
	function.DeclarationList = append(function.DeclarationList, program.DeclarationList...)
	program.Body, program.DeclarationList = shell.Body, nil
	if code, err = goja.CompileAST(program, false); err != nil {
		return nil, syntax(name, err)
	}
	return code, nil
}

// shellOf is the source of the function that a script is put into: its first
// statement declares what the script forgot to, its last returns the entries.
func shellOf(r *rewriter, known *names, parameters string, entries []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(function(%s,%s,%s,%s,%s,%s,%s,%s,%s){var %s",
		r.step, r.made, r.spread, r.members, r.small, r.base, r.real, r.own, parameters, known.fresh("none"))
	for _, name := range known.implicit() {
		if !slices.Contains(globalNames, name) {
			b.WriteString("," + name)
		}
	}
	b.WriteString(";return {")
	for _, name := range entries {
		fmt.Fprintf(&b, "%s:typeof %s==='undefined'?undefined:%s,", name, name, name)
	}
	b.WriteString("}})")
	return b.String()
}

// nesting returns where brackets are nested too deeply, or -1. It reads brackets in
// strings too, which no script has by the hundred.
func nesting(source string) int {
	depth := 0
	for i := range len(source) {
		switch source[i] {
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return i
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return -1
}

func refusal(name, source string, at file.Idx, text string) error {
	p := file.NewFile(name, source, 1).Position(int(at) - 1)
	return fmt.Errorf("%s:%d:%d: %s: %w", name, p.Line, p.Column, text, ErrScript)
}

// syntax words an error of the parser or the compiler.
func syntax(name string, err error) error {
	if list, ok := errors.AsType[parser.ErrorList](err); ok && len(list) > 0 {
		e := list[0]
		return fmt.Errorf("%s:%d:%d: %s: %w", name, e.Position.Line, e.Position.Column, e.Message, ErrScript)
	}
	if e, ok := errors.AsType[*goja.CompilerSyntaxError](err); ok && e.File != nil {
		p := e.File.Position(e.Offset)
		return fmt.Errorf("%s:%d:%d: %s: %w", name, p.Line, p.Column, e.Message, ErrScript)
	}
	return fmt.Errorf("%s: %w: %w", name, err, ErrScript)
}

var _ codec.Factory = (*Program)(nil).New
