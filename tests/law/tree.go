package law

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Tree is a file tree to be judged: the repository, or a fixture.
type Tree struct {
	files []string
	text  map[string]string
	goes  []*Source
}

// Source is one parsed Go file.
type Source struct {
	// Path is relative to the root, Dir its folder.
	Path, Dir string
	// Test is true for _test.go files.
	Test bool
	// Generated is true where the file says so in the usual words.
	Generated bool
	// Lines counts them.
	Lines int
	Set   *token.FileSet
	AST   *ast.File
}

// Line returns the line of a node.
func (s *Source) Line(n ast.Node) int { return s.Set.Position(n.Pos()).Line }

// Read loads a tree. Left out are folders whose name begins with a dot, except
// those that belong to the product, and what tools and runs leave behind;
// testdata below this package, which breaks every rule on purpose; and testdata
// elsewhere, which is data.
func Read(fsys fs.FS) (*Tree, error) {
	t := &Tree{text: map[string]string{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && skipFolder(name, base) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return t.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("law: read the tree: %w", err)
	}
	slices.Sort(t.files)
	return t, nil
}

func skipFolder(name, base string) bool {
	switch base {
	case "node_modules", "testdata":
		return true
	case "bin", "config":
		return !strings.Contains(name, "/") // at the root these are what make builds
	case ".ci", ".devcontainer", ".vscode":
		return false
	}
	return strings.HasPrefix(base, ".")
}

func (t *Tree) add(fsys fs.FS, name string) error {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.files = append(t.files, name)
	t.text[name] = string(text)
	if path.Ext(name) != ".go" {
		return nil
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.goes = append(t.goes, &Source{
		Path: name, Dir: path.Dir(name),
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(file),
		Lines:     set.Position(file.FileEnd).Line,
		Set:       set, AST: file,
	})
	return nil
}

// Files returns the paths that match any of the patterns of path.Match, applied
// to the base name, in ascending order.
func (t *Tree) Files(patterns ...string) []string {
	var found []string
	for _, name := range t.files {
		for _, p := range patterns {
			if ok, _ := path.Match(p, path.Base(name)); ok {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// Has says whether the path is a file or a folder of the tree.
func (t *Tree) Has(name string) bool {
	if name == "." {
		return true
	}
	if _, ok := t.text[name]; ok {
		return true
	}
	i, _ := slices.BinarySearch(t.files, name+"/")
	return i < len(t.files) && strings.HasPrefix(t.files[i], name+"/")
}
