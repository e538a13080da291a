package law

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)(?:\s+"[^"]*")?\)`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.+?)\s*#*$`)
	makeCall   = regexp.MustCompile("(?:^|`|\\$ )make ([a-z][a-z0-9-]*)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):[^=\n]*## `)
)

// prose calls visit for each line of a document outside its code fences.
func prose(text string, visit func(line int, text string)) {
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		mark := strings.TrimLeft(line, " ")
		if fence != "" {
			if strings.HasPrefix(mark, fence) {
				fence = ""
			}
			continue
		}
		if strings.HasPrefix(mark, "```") || strings.HasPrefix(mark, "~~~") {
			fence = mark[:3]
			continue
		}
		visit(i+1, line)
	}
}

// links: every relative link of a document leads to a file of the tree, and to a
// heading where it names one.
func links(t *Tree) []Fault {
	var faults []Fault
	for _, name := range t.Files("*.md") {
		prose(t.text[name], func(line int, text string) {
			for _, m := range inlineLink.FindAllStringSubmatch(text, -1) {
				if why := brokenLink(t, name, m[1]); why != "" {
					faults = append(faults, Fault{name, line, why})
				}
			}
		})
	}
	return faults
}

func brokenLink(t *Tree, from, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return fmt.Sprintf("link %q cannot be read", link)
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	if !t.Has(target) {
		return fmt.Sprintf("link %q leads nowhere", link)
	}
	if u.Fragment == "" || path.Ext(target) != ".md" {
		return ""
	}
	if !slices.Contains(anchors(t.text[target]), u.Fragment) {
		return fmt.Sprintf("link %q: no such heading", link)
	}
	return ""
}

// anchors returns the names that GitHub gives to the headings.
func anchors(text string) []string {
	var names []string
	prose(text, func(_ int, line string) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			return
		}
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	})
	return names
}

// makeTargets: every make command of a document, of .ci and of .devcontainer
// exists and is described in the Makefile.
func makeTargets(t *Tree) []Fault {
	known := map[string]bool{}
	for _, m := range makeTarget.FindAllStringSubmatch(t.text["Makefile"], -1) {
		known[m[1]] = true
	}
	var faults []Fault
	for _, name := range t.files {
		if path.Ext(name) != ".md" && !strings.HasPrefix(name, ".ci/") && !strings.HasPrefix(name, ".devcontainer/") {
			continue
		}
		for i, line := range strings.Split(t.text[name], "\n") {
			for _, m := range makeCall.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				if !known[m[1]] {
					faults = append(faults, Fault{name, i + 1, "make " + m[1] + ": no such target is described"})
				}
			}
		}
	}
	return faults
}

// leftovers are what must not be in any file, with the reason. The patterns are
// written so that they do not match themselves.
var leftovers = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(^|[^\w./~-])/(work|workspace|root|home/[a-z]\w*|Users/\w+)/\w`), "a path of one machine"},
	{regexp.MustCompile(`(^|[^\w./~-])/tmp/[a-z]\w`), "a path of one machine"},
	{regexp.MustCompile(`[A-Z]:\\\\?Users\\`), "a path of one machine"},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KE[Y]-----\\?n?[A-Za-z0-9+/]{20}`), "a private key"},
	{regexp.MustCompile(`SharedAccessKey=[A-Za-z0-9+/]{43}=`), "a key in a connection string"},
	{regexp.MustCompile(`AccountKey=[A-Za-z0-9+/]{20}`), "a storage key"},
	{regexp.MustCompile(`\b(TOD[O]|FIXM[E]|XX[X])\b`), "unfinished work: finish it, or file it"},
	{regexp.MustCompile(`^(<<<<<<<|>>>>>>>) `), "a merge that was not finished"},
}

// noLeftovers looks through every text file that people write.
func noLeftovers(t *Tree) []Fault {
	var faults []Fault
	for _, name := range t.files {
		switch path.Base(name) {
		case "go.sum", "package-lock.json":
			continue
		}
		if strings.ContainsRune(t.text[name], 0) {
			continue
		}
		for i, line := range strings.Split(t.text[name], "\n") {
			for _, l := range leftovers {
				if m := l.pattern.FindString(line); m != "" {
					faults = append(faults, Fault{name, i + 1, fmt.Sprintf("%q: %s", strings.TrimSpace(m), l.why)})
				}
			}
		}
	}
	return faults
}

var goVersion = regexp.MustCompile(`(?m)^(?:go |FROM docker\.io/library/golang:|FROM golang:|ARG GO_VERSION=)(1\.\d+)`)

// oneGoVersion: go.work, every go.mod and every image name the same Go release.
func oneGoVersion(t *Tree) []Fault {
	want := ""
	if m := goVersion.FindStringSubmatch(t.text["go.work"]); m != nil {
		want = m[1]
	}
	var faults []Fault
	for _, name := range t.Files("go.work", "go.mod", "Dockerfile*") {
		for _, m := range goVersion.FindAllStringSubmatch(t.text[name], -1) {
			if m[1] != want {
				faults = append(faults, Fault{name, 0, fmt.Sprintf("go %s, and go.work says %q", m[1], want)})
			}
		}
	}
	return faults
}
