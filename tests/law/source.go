package law

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

// maxLines: about eight screens; what is longer has two subjects. Tables of cases
// may be longer.
const (
	maxLines     = 450
	maxTestLines = 600
)

// packageComment: exactly one file of a package carries its comment.
func packageComment(t *Tree) []Fault {
	docs := map[string][]string{}
	first := map[string]string{}
	var order []string
	for _, src := range t.goes {
		if src.Test {
			continue
		}
		if first[src.Dir] == "" {
			first[src.Dir] = src.Path
			order = append(order, src.Dir)
		}
		if src.AST.Doc != nil {
			docs[src.Dir] = append(docs[src.Dir], path.Base(src.Path))
		}
	}
	var faults []Fault
	for _, dir := range order {
		if n := len(docs[dir]); n != 1 {
			faults = append(faults, Fault{first[dir], 0, fmt.Sprintf("%d package comments %v, want one", n, docs[dir])})
		}
	}
	return faults
}

// fileLength bounds files that people write.
func fileLength(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		most := maxLines
		if src.Test {
			most = maxTestLines
		}
		if src.Lines > most && !src.Generated {
			faults = append(faults, Fault{src.Path, 0, fmt.Sprintf("%d lines, at most %d", src.Lines, most)})
		}
	}
	return faults
}

// noInit forbids func init, except in generated code: protobuf registers its types so.
func noInit(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		if src.Generated {
			continue
		}
		for _, d := range src.AST.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				faults = append(faults, Fault{src.Path, src.Line(f), "func init"})
			}
		}
	}
	return faults
}

// noPanic: outside main, tests and codectest nothing ends the program.
func noPanic(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		if src.Test || src.AST.Name.Name == "main" || strings.HasSuffix(src.Dir, "test") {
			continue
		}
		calls(src.AST, func(call *ast.CallExpr, name string) {
			switch name {
			case "panic", "os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf":
				faults = append(faults, Fault{src.Path, src.Line(call), name + " outside main"})
			}
		})
	}
	return faults
}

// honestTests: no skips, and no sleep except under a fake clock, or between the
// looks of a small polling function with a deadline.
func honestTests(t *Tree) []Fault {
	bubbles := bubbles(t)
	var faults []Fault
	for _, src := range t.goes {
		if !src.Test && !strings.HasPrefix(src.Dir, "tests/e2e") {
			continue
		}
		fake := imports(src, "testing/synctest")
		patient := pollers(src)
		calls(src.AST, func(call *ast.CallExpr, name string) {
			if bubbles[src.Dir+"."+name] {
				calls(call, func(inner *ast.CallExpr, _ string) { patient[inner] = true })
			}
		})
		calls(src.AST, func(call *ast.CallExpr, name string) {
			of, method, _ := strings.Cut(name, ".")
			switch {
			case name == "time.Sleep" && !fake && !patient[call]:
				faults = append(faults, Fault{src.Path, src.Line(call), "time.Sleep: wait for the event"})
			case (of == "t" || of == "b" || of == "f" || of == "tb") && strings.HasPrefix(method, "Skip"):
				faults = append(faults, Fault{src.Path, src.Line(call), name + ": prove it or leave it out"})
			}
		})
	}
	return faults
}

// bubbles returns the functions, as folder.name, that run what they are given
// under a fake clock.
func bubbles(t *Tree) map[string]bool {
	found := map[string]bool{}
	for _, src := range t.goes {
		for _, d := range src.AST.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || !imports(src, "testing/synctest") {
				continue
			}
			calls(f.Body, func(_ *ast.CallExpr, name string) {
				if name == "synctest.Test" {
					found[src.Dir+"."+f.Name.Name] = true
				}
			})
		}
	}
	return found
}

// loopback: a test listens on 127.0.0.1 or [::1], on a port that the system gives.
func loopback(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		if !src.Test && !strings.HasPrefix(src.Dir, "tests/e2e") {
			continue
		}
		calls(src.AST, func(call *ast.CallExpr, name string) {
			if !strings.Contains(name, "Listen") {
				return
			}
			for _, arg := range call.Args {
				address, lit := text(arg)
				colon := strings.LastIndex(address, ":")
				if lit == nil || colon < 0 || strings.Contains(address, "/") {
					continue
				}
				if host := address[:colon]; host != "127.0.0.1" && host != "[::1]" || address[colon:] != ":0" {
					faults = append(faults, Fault{src.Path, src.Line(lit), address + ": listen on 127.0.0.1:0"})
				}
			}
		})
	}
	return faults
}

// pollers returns the sleeps of functions of at most 20 lines that also look at
// the clock or at a context.
func pollers(src *Source) map[*ast.CallExpr]bool {
	found := map[*ast.CallExpr]bool{}
	for _, d := range src.AST.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil || src.Set.Position(f.End()).Line-src.Line(f) > 20 {
			continue
		}
		var sleeps []*ast.CallExpr
		bounded := false
		calls(f.Body, func(call *ast.CallExpr, name string) {
			switch name {
			case "time.Sleep":
				sleeps = append(sleeps, call)
			case "time.Now", "time.Since", "ctx.Done", "ctx.Err":
				bounded = true
			}
		})
		for _, call := range sleeps {
			found[call] = bounded
		}
	}
	return found
}

// leakCheck: a package that starts goroutines has a TestMain with goleak.
func leakCheck(t *Tree) []Fault {
	starts, checked := map[string]*Source{}, map[string]bool{}
	var order []string
	for _, src := range t.goes {
		if src.Test && imports(src, "go.uber.org/goleak") {
			checked[src.Dir] = true
		}
		if src.Test || src.AST.Name.Name == "main" || starts[src.Dir] != nil {
			continue
		}
		ast.Inspect(src.AST, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok && starts[src.Dir] == nil {
				starts[src.Dir] = src
				order = append(order, src.Dir)
			}
			return true
		})
	}
	const why = "the package starts goroutines, and no test imports go.uber.org/goleak"
	var faults []Fault
	for _, dir := range order {
		if !checked[dir] {
			faults = append(faults, Fault{starts[dir].Path, 0, why})
		}
	}
	return faults
}

// verifiedTLS: InsecureSkipVerify is never set, not even in a test, for a test
// that does not verify is not a test of the real path.
func verifiedTLS(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		ast.Inspect(src.AST, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				faults = append(faults, Fault{src.Path, src.Line(id), "certificates are always verified"})
			}
			return true
		})
	}
	return faults
}

// calls visits every call of a plain or package-qualified function, or of a
// method on a plain variable.
func calls(root ast.Node, visit func(call *ast.CallExpr, name string)) {
	ast.Inspect(root, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			visit(call, f.Name)
		case *ast.SelectorExpr:
			if x, ok := f.X.(*ast.Ident); ok {
				visit(call, x.Name+"."+f.Sel.Name)
			}
		}
		return true
	})
}

func imports(src *Source, name string) bool {
	for _, spec := range src.AST.Imports {
		if importPath(spec.Path.Value) == name {
			return true
		}
	}
	return false
}
