package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

const (
	// maxCondition bounds the text of a condition in bytes; the schema says the same.
	maxCondition = 1024
	// maxNodes bounds the syntax tree: far more than 1024 bytes of sense need.
	maxNodes = 512
)

// environment is what a condition sees. Its fields are exported for expr only.
type environment struct {
	Message *view `expr:"message"` // a pointer, so that fetching it copies nothing
}

type view struct {
	Device      string            `expr:"device"`
	Listener    string            `expr:"listener"`
	Codec       string            `expr:"codec"`
	Output      string            `expr:"output"`
	ContentType string            `expr:"contentType"`
	Size        int               `expr:"size"`
	Properties  map[string]string `expr:"properties"`
	Body        any               `expr:"body"`
}

// builtins returns the functions that a condition may call: those that take time
// and memory in proportion to their arguments. Among those left out are now (a
// rule depends on the message only), reduce, repeat, replace and join (which grow
// text by multiplication) and uniq (quadratic).
func builtins() []string {
	return []string{
		"all", "any", "one", "none", "filter", "map", "find", "count", "sum",
		"len", "type", "abs", "ceil", "floor", "round", "int", "float", "string", "max", "min", "mean", "median",
		"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf",
		"hasPrefix", "hasSuffix", "first", "last", "get", "keys", "values", "date", "duration",
	}
}

// uses says which costly parts of a message a condition looks at.
type uses struct{ properties, body bool }

func compile(when string) (*vm.Program, uses, error) {
	return compileAs(when, "condition", expr.AsBool())
}

// compileAs compiles a text over a message, which errors call by its kind.
func compileAs(when, what string, as ...expr.Option) (*vm.Program, uses, error) {
	return compileOver(new(environment), when, what, as...)
}

// compileOver compiles a text over the fields of an environment.
func compileOver(env any, when, what string, as ...expr.Option) (*vm.Program, uses, error) {
	if len(when) > maxCondition {
		return nil, uses{}, fmt.Errorf("%s has %d bytes, must have at most %d", what, len(when), maxCondition)
	}
	tree, err := parser.Parse(when)
	if err != nil {
		return nil, uses{}, oneLine(err)
	}
	var in inspection
	in.node(tree.Node, 0)
	if in.err != nil {
		return nil, uses{}, in.err
	}
	options := append([]expr.Option{
		expr.Env(env), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins(),
	}, as...)
	for _, name := range builtins() {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(when, options...)
	if err != nil {
		return nil, uses{}, oneLine(err)
	}
	return program, in.uses, nil
}

// maxPredicates is how deep predicates nest: an array within each element of an
// array. Three of literal lists over a large body took minutes.
const maxPredicates = 2

// inspection walks a syntax tree before it is compiled. It learns what the
// condition looks at, and refuses what could take more time than in proportion to
// the body: ranges, variables, deep predicates, and inside a predicate the body and
// literal lists (where the rest of the message and the element itself may be used).
type inspection struct {
	uses
	err error
}

func (in *inspection) refuse(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf(format, args...)
	}
}

func (in *inspection) node(node ast.Node, predicates int) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		// The member node below has dealt with "message.name".
		if n.Value == "message" || n.Value == "$env" {
			in.refuse("%s must be message followed by a name, as message.device", n.Value)
		}
	case *ast.MemberNode:
		in.member(n, predicates)
		return
	case *ast.VariableDeclaratorNode:
		in.refuse("let is not part of conditions")
	case *ast.BinaryNode:
		if n.Operator == ".." {
			in.refuse("ranges (..) are not part of conditions")
		}
	case *ast.BuiltinNode:
		// The parser lets predicates through even where they are disabled.
		if !slices.Contains(builtins(), n.Name) {
			in.refuse("function %s is not part of conditions", n.Name)
		}
		if list, ok := firstArgument(n).(*ast.ArrayNode); ok && predicates > 0 {
			in.refuse("a list of %d cannot be searched inside a predicate, except with in", len(list.Nodes))
		}
	case *ast.PredicateNode:
		if predicates++; predicates > maxPredicates {
			in.refuse("predicates may nest %d deep", maxPredicates)
		}
	}
	in.children(node, predicates)
}

func firstArgument(n *ast.BuiltinNode) ast.Node {
	if len(n.Arguments) == 0 {
		return nil
	}
	return n.Arguments[0]
}

func (in *inspection) member(n *ast.MemberNode, predicates int) {
	name, constant := n.Property.(*ast.StringNode)
	if object, ok := n.Node.(*ast.IdentifierNode); ok && object.Value == "message" && constant {
		switch name.Value {
		case "properties":
			in.properties = true
		case "body":
			in.body = true
			if predicates > 0 {
				in.refuse("message.body cannot be used inside a predicate, only its elements")
			}
		}
		return
	}
	in.node(n.Node, predicates)
	in.node(n.Property, predicates)
}

// children visits what lies directly below a node that is not a member.
func (in *inspection) children(node ast.Node, predicates int) {
	each := func(nodes ...ast.Node) {
		for _, n := range nodes {
			if n != nil {
				in.node(n, predicates)
			}
		}
	}
	switch n := node.(type) {
	case *ast.UnaryNode:
		each(n.Node)
	case *ast.BinaryNode:
		each(n.Left, n.Right)
	case *ast.ChainNode:
		each(n.Node)
	case *ast.SliceNode:
		each(n.Node, n.From, n.To)
	case *ast.CallNode:
		each(n.Callee)
		each(n.Arguments...)
	case *ast.BuiltinNode:
		each(n.Arguments...)
	case *ast.PredicateNode:
		each(n.Node)
	case *ast.ConditionalNode:
		each(n.Cond, n.Exp1, n.Exp2)
	case *ast.VariableDeclaratorNode:
		each(n.Value, n.Expr)
	case *ast.SequenceNode:
		each(n.Nodes...)
	case *ast.ArrayNode:
		each(n.Nodes...)
	case *ast.MapNode:
		each(n.Pairs...)
	case *ast.PairNode:
		each(n.Key, n.Value)
	}
}

// oneLine keeps the message and the column of an error that expr draws over
// several lines.
func oneLine(err error) error {
	if e, ok := errors.AsType[*file.Error](err); ok {
		if e.Line > 1 {
			return fmt.Errorf("%s, at line %d column %d", flat(e.Message), e.Line, e.Column+1)
		}
		return fmt.Errorf("%s, at column %d", flat(e.Message), e.Column+1)
	}
	return errors.New(flat(err.Error()))
}

func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
