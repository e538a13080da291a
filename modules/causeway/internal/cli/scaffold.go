package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// templates are the beginnings of codecs, a folder for each kind. NAME in a file's
// name stands for the codec's; the ending .txt keeps tools away from the files here.
//
//go:embed all:templates
var templates embed.FS

// named is what templates may use.
type named struct {
	// Name is the codec's name, Package the same as a Go package.
	Name, Package string
}

// codecName is what a listener can name.
var codecName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Kinds returns the kinds of codecs that New knows, in ascending order.
func Kinds() []string {
	entries, err := templates.ReadDir("templates")
	if err != nil {
		return nil // they are embedded
	}
	kinds := make([]string, 0, len(entries))
	for _, e := range entries {
		kinds = append(kinds, e.Name())
	}
	return kinds
}

func create(c *call) error {
	dir := c.flags.String("dir", "", "`folder` to make; without it the codec's name")
	if err := c.parse(); err != nil {
		return err
	}
	kinds := strings.Join(Kinds(), ", ")
	const arguments = 2
	if len(c.args) != arguments {
		return usagef("want a kind (%s) and a name", kinds)
	}
	kind, name := c.args[0], c.args[1]
	if !slices.Contains(Kinds(), kind) {
		return usagef("kind %q, known are %s", kind, kinds)
	}
	if !codecName.MatchString(name) {
		return usagef("name %q, want a lower-case letter, then at most 31 letters, digits or -", name)
	}
	if *dir == "" {
		*dir = name
	}
	files, err := New(kind, name, *dir)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%v", err)
	} else if err != nil {
		return err
	}
	for _, file := range files {
		if err := c.put(map[string]string{"created": file}); err != nil {
			return err
		}
	}
	return nil
}

// New writes the beginning of a codec of that kind into a folder, which must not be
// there yet (fs.ErrExist), and returns the files.
func New(kind, name, dir string) ([]string, error) {
	const mode = 0o755
	if err := os.Mkdir(dir, mode); err != nil {
		return nil, fmt.Errorf("begin a codec: %w", err)
	}
	root := path.Join("templates", kind)
	with := named{Name: name, Package: strings.ReplaceAll(name, "-", "")}
	var files []string
	err := fs.WalkDir(templates, root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		relative := strings.TrimSuffix(strings.TrimPrefix(file, root+"/"), ".txt")
		relative = strings.ReplaceAll(relative, "NAME", with.Package)
		target := filepath.Join(dir, filepath.FromSlash(relative))
		files = append(files, target)
		return write(file, target, with)
	})
	if err != nil {
		return nil, fmt.Errorf("begin a codec: %w", err)
	}
	return files, nil
}

// write carries out one template. Only the two names are replaced: the files of some
// kinds are full of braces.
func write(file, target string, with named) error {
	text, err := templates.ReadFile(file)
	if err != nil {
		return err
	}
	const folder, mode = 0o755, 0o644
	if err := os.MkdirAll(filepath.Dir(target), folder); err != nil {
		return err
	}
	filled := strings.NewReplacer("{{.Name}}", with.Name, "{{.Package}}", with.Package).Replace(string(text))
	return os.WriteFile(target, []byte(filled), mode)
}
