package teltonika

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheTableHasEachIdAndNameOnce(t *testing.T) {
	ids, names := map[uint16]string{}, map[string]uint16{}
	name := regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	for _, p := range avlTable() {
		if other, taken := ids[p.id]; taken {
			t.Errorf("id %d is %s and %s", p.id, other, p.name)
		}
		if other, taken := names[p.name]; taken {
			t.Errorf("%s is %d and %d", p.name, other, p.id)
		}
		ids[p.id], names[p.name] = p.name, p.id
		if !name.MatchString(p.name) {
			t.Errorf("%d: name %q is no lowerCamelCase", p.id, p.name)
		}
		if !slices.Contains([]uint8{1, 2, 4, 8, variable, anyNumber}, p.width) {
			t.Errorf("%s: width %d", p.name, p.width)
		}
		mul, _, err := parseScale(p.scale)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		if p.scale != "" && (p.kind >= kindASCII || p.width == variable || p.width == anyNumber) || p.width == 8 && mul != 1 {
			t.Errorf("%s: a scale does not fit %d bytes of kind %d", p.name, p.width, p.kind)
		}
		if p.kind < kindASCII && p.width == variable || p.kind == kindASCII && p.width != variable {
			t.Errorf("%s: kind %d does not fit %d bytes", p.name, p.kind, p.width)
		}
	}
}

// avlPage is AVL.md as the table says it should be.
func avlPage() string {
	var b strings.Builder
	b.WriteString("# AVL properties\n\n" +
		"Written from the table of this codec; `UPDATE_AVL=1 go test ./codecs/teltonika` writes it again.\n" +
		"Values in `io` are the sent value times the multiplier, in the unit. A property without a unit is a bare\n" +
		"number, a state, a bit mask, or a value whose scale the public tables leave in doubt: it is as sent.\n\n" +
		"| id | name | bytes | type | multiplier | unit |\n|---:|---|---|---|---|---|\n")
	table := avlTable()
	slices.SortFunc(table, func(a, b property) int { return int(a.id) - int(b.id) })
	for _, p := range table {
		width := strconv.Itoa(int(p.width))
		switch p.width {
		case variable:
			width = "variable"
		case anyNumber:
			width = "any"
		}
		kind := [...]string{"unsigned", "signed", "ascii", "hex"}[p.kind]
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", p.id, p.name, width, kind, p.scale, p.unit)
	}
	return b.String()
}

func TestThePageOfPropertiesIsUpToDate(t *testing.T) {
	if os.Getenv("UPDATE_AVL") != "" {
		if err := os.WriteFile("AVL.md", []byte(avlPage()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("AVL.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != avlPage() {
		t.Error("AVL.md is not what the table says: UPDATE_AVL=1 go test writes it")
	}
}

func TestTheReadmeCountsTheProperties(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d AVL properties", len(avlTable())); !strings.Contains(string(page), want) {
		t.Errorf("the README does not say %q", want)
	}
}
