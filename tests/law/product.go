package law

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// readmeSections are the headings of a codec's README, in this order.
var readmeSections = []string{"Name", "Description", "Options", "Examples", "Acknowledgement"}

// codecFolders: every folder of codecs/ is imported by codecs.go, has a README with
// the sections that a user looks for, and is named in the index of documents.
func codecFolders(t *Tree) []Fault {
	const root = causeway + "/codecs"
	var registered []string
	for _, src := range t.goes {
		if src.Path != root+"/codecs.go" {
			continue
		}
		for _, spec := range src.AST.Imports {
			if name, ok := strings.CutPrefix(importPath(spec.Path.Value), house+root+"/"); ok {
				registered = append(registered, name)
			}
		}
	}
	var faults []Fault
	for _, name := range codecNames(t) {
		dir := path.Join(root, name)
		if !slices.Contains(registered, name) {
			faults = append(faults, Fault{dir, 0, "not registered in codecs.go"})
		}
		readme := path.Join(dir, "README.md")
		if !t.Has(readme) {
			faults = append(faults, Fault{dir, 0, "no README.md"})
			continue
		}
		faults = append(faults, sections(readme, t.text[readme])...)
		if !strings.Contains(t.text["docs/codecs/README.md"], "/codecs/"+name+"/README.md") {
			faults = append(faults, Fault{"docs/codecs/README.md", 0, "does not link to " + readme})
		}
	}
	return faults
}

func codecNames(t *Tree) []string {
	var names []string
	for _, src := range t.goes {
		rest, ok := strings.CutPrefix(src.Dir, causeway+"/codecs/")
		if ok && !strings.Contains(rest, "/") && !src.Test && !slices.Contains(names, rest) {
			names = append(names, rest)
		}
	}
	return names
}

func sections(readme, text string) []Fault {
	var faults []Fault
	var found []string
	prose(text, func(_ int, line string) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			found = append(found, strings.TrimSpace(name))
		}
	})
	at := -1
	for _, want := range readmeSections {
		i := slices.Index(found, want)
		switch {
		case i < 0:
			faults = append(faults, Fault{readme, 0, "no section " + want})
		case i < at:
			faults = append(faults, Fault{readme, 0, "section " + want + " is out of order"})
		default:
			at = i
		}
	}
	return faults
}

var (
	fromLine = regexp.MustCompile(`(?m)^FROM (\S+)`)
	userLine = regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`)
)

// images: every module.json names Dockerfiles that exist, and every Dockerfile
// ends in a small image that runs as a number, checks itself, and says its ports.
func images(t *Tree) []Fault {
	var faults []Fault
	for _, name := range t.Files("module.json") {
		var module struct {
			Image struct {
				Repository string `json:"repository"`
				Tag        struct {
					Version   string            `json:"version"`
					Platforms map[string]string `json:"platforms"`
				} `json:"tag"`
			} `json:"image"`
		}
		if err := json.Unmarshal([]byte(t.text[name]), &module); err != nil {
			faults = append(faults, Fault{name, 0, err.Error()})
			continue
		}
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(module.Image.Tag.Version) {
			faults = append(faults, Fault{name, 0, fmt.Sprintf("version %q, want X.Y.Z", module.Image.Tag.Version)})
		}
		for _, platform := range []string{"amd64", "arm64v8", "arm32v7"} {
			if module.Image.Tag.Platforms[platform] == "" {
				faults = append(faults, Fault{name, 0, "no platform " + platform})
			}
		}
		for _, file := range sorted(module.Image.Tag.Platforms) {
			if !t.Has(path.Join(path.Dir(name), file)) {
				faults = append(faults, Fault{name, 0, file + " does not exist"})
			}
		}
	}
	for _, name := range t.Files("Dockerfile.*") {
		faults = append(faults, dockerfile(name, t.text[name])...)
	}
	return faults
}

func dockerfile(name, text string) []Fault {
	var faults []Fault
	fault := func(why string) { faults = append(faults, Fault{name, 0, why}) }
	stages := fromLine.FindAllStringSubmatch(text, -1)
	if len(stages) < 2 {
		fault("not built in stages")
	}
	for _, s := range stages {
		if s[1] != "scratch" && (!strings.Contains(s[1], ":") || strings.HasSuffix(s[1], ":latest")) {
			fault(s[1] + " is not pinned")
		}
	}
	if n := len(stages); n > 0 && stages[n-1][1] != "scratch" && !strings.Contains(stages[n-1][1], "distroless") {
		fault("the last stage is " + stages[n-1][1] + ", want scratch or distroless")
	}
	if m := userLine.FindStringSubmatch(text); m == nil || m[1] == "0" {
		fault("USER is not a number other than 0")
	}
	if !strings.Contains(text, "\nENTRYPOINT [") {
		fault("no ENTRYPOINT")
	}
	if strings.Contains(text, "\nEXPOSE ") && !strings.Contains(text, "\nHEALTHCHECK ") {
		fault("serves a port and has no HEALTHCHECK")
	}
	return faults
}

func sorted(m map[string]string) []string {
	var values []string
	for _, v := range m {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}
