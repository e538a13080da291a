// Command manifest makes a deployment manifest of a deployment template:
//
//	manifest -platform amd64 -out config deployment.template.json
//	manifest -platform amd64 -image causeway
//
// It is run in the repository's root. Tokens are taken from the environment, then
// from .env, then from .env.example; what none of them knows stays as it is.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/causeway-iot/causeway/tests/law/template"
)

func main() {
	platform := flag.String("platform", "amd64", "what ${MODULES.<name>} stands for")
	out := flag.String("out", "config", "the folder to write to")
	image := flag.String("image", "", "only print the name of this module's image")
	flag.Parse()
	if err := run(*platform, *out, *image, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "manifest:", err)
		os.Exit(1)
	}
}

func run(platform, out, image, name string) error {
	lookup, err := tokens(platform)
	if err != nil {
		return err
	}
	if image != "" {
		tag, ok := lookup("MODULES." + image)
		if !ok {
			return fmt.Errorf("module %s has no image for %s", image, platform)
		}
		fmt.Println(tag)
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	manifest, err := template.Manifest(string(text), lookup)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	base := strings.TrimSuffix(filepath.Base(name), ".template.json")
	target := filepath.Join(out, base+"."+platform+".json")
	if err := os.WriteFile(target, manifest, 0o644); err != nil {
		return err
	}
	fmt.Println(target)
	return nil
}

func tokens(platform string) (func(string) (string, bool), error) {
	files := map[string]string{}
	for _, name := range []string{".env.example", ".env"} {
		if err := readEnv(name, files); err != nil {
			return nil, err
		}
	}
	environment := func(name string) (string, bool) {
		if value, ok := os.LookupEnv(name); ok {
			return value, true
		}
		value, ok := files[name]
		return value, ok
	}
	found, err := filepath.Glob("modules/*/module.json")
	if err != nil {
		return nil, err
	}
	modules := map[string]string{}
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		modules[filepath.Base(filepath.Dir(name))] = template.Expand(string(text), environment)
	}
	images, err := template.Images(platform, modules)
	if err != nil {
		return nil, err
	}
	return func(name string) (string, bool) {
		if value, ok := images[name]; ok {
			return value, true
		}
		return environment(name)
	}, nil
}

// readEnv adds the NAME=value lines of the file, where there is one.
func readEnv(name string, into map[string]string) error {
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			into[key] = value
		}
	}
	return nil
}
