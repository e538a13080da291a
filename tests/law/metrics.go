package law

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

const operations = "docs/operations.md"

var metricName = regexp.MustCompile(`^causeway_[a-z0-9_]+$`)

// Metric is one metric as the code declares it.
type Metric struct {
	Name, Help string
	// Labels are those beyond the ones on every series.
	Labels []string
	// Path and Line are where its name stands.
	Path string
	Line int
}

// Metrics returns the gateway's metrics by name. A metric is a string that is
// nothing but its name; its help is the next argument, the Help field beside it,
// or the comment of the constant.
func Metrics(t *Tree) map[string]Metric {
	found := map[string]Metric{}
	for _, src := range t.goes {
		if src.Test || !under(src.Dir, causeway) {
			continue
		}
		ast.Inspect(src.AST, func(n ast.Node) bool {
			m, literal := metricOf(n)
			if literal == nil {
				return true
			}
			m.Path, m.Line = src.Path, src.Line(literal)
			if known := found[m.Name]; known.Help == "" || len(m.Labels) > 0 {
				found[m.Name] = m
			}
			return true
		})
	}
	return found
}

// metricOf reads the forms in which a metric is declared.
func metricOf(n ast.Node) (Metric, *ast.BasicLit) {
	switch n := n.(type) {
	case *ast.CallExpr: // counter("name", "help", "label"...), NewCounterVec(Opts{...}, []string{...})
		if len(n.Args) == 0 {
			break
		}
		if name, lit := text(n.Args[0]); lit != nil && metricName.MatchString(name) {
			return Metric{Name: name, Help: at(n.Args, 1), Labels: labelsOf(n.Args[min(2, len(n.Args)):])}, lit
		}
		if opts, ok := n.Args[0].(*ast.CompositeLit); ok {
			m, lit := metricOf(opts)
			m.Labels = labelsOf(n.Args[1:])
			return m, lit
		}
	case *ast.CompositeLit: // {"name", "help", function} in a table, Opts{Name: "name", Help: "help"}
		if len(n.Elts) > 1 {
			if name, lit := text(n.Elts[0]); lit != nil && metricName.MatchString(name) {
				return Metric{Name: name, Help: at(n.Elts, 1)}, lit
			}
		}
		name, lit := field(n, "Name")
		if lit != nil && metricName.MatchString(name) {
			help, _ := field(n, "Help")
			return Metric{Name: name, Help: help}, lit
		}
	case *ast.ValueSpec:
		if len(n.Values) == 1 {
			if name, lit := text(n.Values[0]); lit != nil && metricName.MatchString(name) {
				_, help, _ := strings.Cut(n.Doc.Text(), ": ")
				return Metric{Name: name, Help: strings.Join(strings.Fields(help), " ")}, lit
			}
		}
	}
	return Metric{}, nil
}

func text(e ast.Expr) (string, *ast.BasicLit) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", nil
	}
	return importPath(lit.Value), lit
}

func at(args []ast.Expr, i int) string {
	if i >= len(args) {
		return ""
	}
	s, _ := text(args[i])
	return s
}

func field(c *ast.CompositeLit, name string) (string, *ast.BasicLit) {
	for _, e := range c.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == name {
				return text(pair.Value)
			}
		}
	}
	return "", nil
}

func labelsOf(args []ast.Expr) []string {
	var labels []string
	for _, arg := range args {
		if list, ok := arg.(*ast.CompositeLit); ok {
			labels = append(labels, labelsOf(list.Elts)...)
		}
		if label, lit := text(arg); lit != nil {
			labels = append(labels, label)
		}
	}
	return labels
}

// MetricsTable is the Markdown table of all metrics.
func MetricsTable(t *Tree) string {
	metrics := Metrics(t)
	var b strings.Builder
	b.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, labels, m.Help)
	}
	return b.String()
}

// metricNames: every metric has a help, and the names in the operator's page are
// those of the code, no more and no fewer.
func metricNames(t *Tree) []Fault {
	docs := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bcauseway_[a-z0-9_]+\b`).FindAllString(t.text[operations], -1) {
		docs[name] = true
	}
	metrics := Metrics(t)
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		if !docs[name] {
			faults = append(faults, Fault{m.Path, m.Line, name + " is not in " + operations})
		}
		if m.Help == "" {
			faults = append(faults, Fault{m.Path, m.Line, name + " has no help"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		if _, ok := metrics[name]; !ok {
			faults = append(faults, Fault{operations, 0, name + " is no metric of the code"})
		}
	}
	return faults
}

var methodRow = regexp.MustCompile("(?m)^\\| `([a-zA-Z]+)` \\| `[{]")

// methodNames: the direct methods in the operator's page are those of the table in
// internal/command. A row of the page names the method and its payload.
func methodNames(t *Tree) []Fault {
	docs := map[string]bool{}
	for _, m := range methodRow.FindAllStringSubmatch(t.text[operations], -1) {
		docs[m[1]] = true
	}
	code := map[string]Fault{}
	for _, src := range t.goes {
		if src.Test || src.Dir != path.Join(rooms, "command") {
			continue
		}
		ast.Inspect(src.AST, func(n ast.Node) bool {
			list, ok := n.(*ast.CompositeLit)
			if !ok || !answersMethods(list) {
				return true
			}
			for _, e := range list.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					name, _ := text(pair.Key)
					code[name] = Fault{src.Path, src.Line(pair), "method " + name + " is not in " + operations}
				}
			}
			return true
		})
	}
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if !docs[name] {
			faults = append(faults, code[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		if _, ok := code[name]; !ok {
			faults = append(faults, Fault{operations, 0, "method " + name + " is not in the table of the code"})
		}
	}
	return faults
}

// answersMethods: the literal is a map from names to functions.
func answersMethods(list *ast.CompositeLit) bool {
	m, ok := list.Type.(*ast.MapType)
	if !ok {
		return false
	}
	_, function := m.Value.(*ast.FuncType)
	return function
}
