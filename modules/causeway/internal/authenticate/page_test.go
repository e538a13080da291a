package authenticate

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tables of docs/authentication.md are held to the code: every setting that a kind
// takes is there and no other, of its type, and with its bounds and default.

// settingRow is a row of a table.
type settingRow struct{ path, kind, fallback string }

// settingTables reads the tables of the page, by the name of their part.
func settingTables(t *testing.T) map[string][]settingRow {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string][]settingRow)
	for _, part := range strings.Split(string(page), "<!-- settings: ")[1:] {
		name, rest, _ := strings.Cut(part, " -->\n")
		text, _, ended := strings.Cut(rest, "<!-- end -->")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if !ended || len(lines) < 2 || tables[name] != nil {
			t.Fatalf("the page has no table %q, or two", name)
		}
		tables[name] = []settingRow{}
		for _, line := range lines[2:] {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if len(cells) != 4 || strings.TrimSpace(cells[3]) == "" {
				t.Fatalf("a row of %s has not four cells: %s", name, line)
			}
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			tables[name] = append(tables[name], settingRow{
				strings.Trim(cells[0], "`"), cells[1], strings.Trim(cells[2], "`"),
			})
		}
	}
	return tables
}

// settingsOf lists what a type takes: the words of the page for its fields, by path.
func settingsOf(at string, of reflect.Type) map[string]string {
	words := map[reflect.Type]string{
		reflect.TypeFor[source](): "secret", reflect.TypeFor[credential](): "credential",
		reflect.TypeFor[headerValue](): "string or secret", reflect.TypeFor[json.RawMessage](): "any JSON",
		reflect.TypeFor[ipRange](): "string",
	}
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if word := words[of]; word != "" && at != "" {
		return map[string]string{at: word}
	}
	list := make(map[string]string)
	add := func(more map[string]string) {
		for path, word := range more {
			list[path] = word
		}
	}
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			add(settingsOf(strings.Trim(at+"."+of.Field(i).Tag.Get("json"), "."), of.Field(i).Type))
		}
	case reflect.Map:
		add(settingsOf(at+".<>", of.Elem()))
	case reflect.Slice:
		list[at] = "array of string"
	case reflect.Bool:
		list[at] = "boolean"
	case reflect.Int:
		list[at] = "integer"
	default:
		list[at] = "string"
	}
	return list
}

var (
	anyName = regexp.MustCompile(`<[a-z]+>`)
	bounds  = regexp.MustCompile(`^integer, (\d+) to (\d+)$`)
	words   = regexp.MustCompile("^`[A-Za-z]+`(, `[A-Za-z]+`)*$")
)

func TestTheTablesOfThePageHaveEverySettingAndNoOther(t *testing.T) {
	tables := settingTables(t)
	for name, of := range map[string]reflect.Type{
		"addresses": reflect.TypeFor[AddressesSpec](), "certificate": reflect.TypeFor[CertificateSpec](),
		"database": reflect.TypeFor[DatabaseSpec](), "http": reflect.TypeFor[HTTPSpec](), "jwt": reflect.TypeFor[JWTSpec](),
		"pattern": reflect.TypeFor[PatternSpec](), "secret": reflect.TypeFor[SecretSpec](),
		"source": reflect.TypeFor[source](), "credential": reflect.TypeFor[credential](),
	} {
		want := settingsOf("", of)
		if name != "source" && name != "credential" && !strings.Contains(kinds, name) {
			t.Errorf("there is no kind %s", name)
		}
		for _, row := range tables[name] {
			path := anyName.ReplaceAllString(row.path, "<>")
			word := row.kind
			switch {
			case bounds.MatchString(word):
				word = "integer"
			case words.MatchString(word):
				word = "string"
			}
			if want[path] != word {
				t.Errorf("%s: %s is %q, on the page %q", name, row.path, want[path], row.kind)
			}
			delete(want, path)
		}
		for path := range want {
			t.Errorf("%s: the page has no %s", name, path)
		}
		delete(tables, name)
	}
	for name := range tables {
		t.Errorf("the page has a table of %s", name)
	}
}

// least are the least settings of each kind, with which others can be tried.
func least(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"addresses": `{}`, "certificate": `{}`, "database": `{}`, "pattern": `{"match":"x"}`,
		"secret": `{"devices":{"d":{"env":"TOKEN"}}}`, "http": `{"url":"https://h/"}`, "jwt": `{"jwks":{"url":"https://h/"}}`,
	}
}

// placed returns settings with a value put at a path.
func placed(t *testing.T, settings, path string, value any) json.RawMessage {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(settings), &root); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(anyName.ReplaceAllString(path, "d"), ".")
	at := root
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = make(map[string]any)
			at[key] = next
		}
		at = next
	}
	if at[keys[len(keys)-1]] = value; value == nil {
		delete(at, keys[len(keys)-1])
	}
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheTablesOfThePageHaveTheBoundsAndDefaultsOfTheCode(t *testing.T) {
	d := deps()
	d.Database = new(Database)
	for kind, settings := range least(t) {
		for _, row := range settingTables(t)[kind] {
			takes := func(value any, want bool) {
				t.Helper()
				a, err := New(kind, placed(t, settings, row.path, value), d)
				if (err == nil) != want {
					t.Errorf("%s: %s of %v: %v", kind, row.path, value, err)
				}
				if c, ok := a.(interface{ Close() error }); ok && err == nil {
					_ = c.Close()
				}
			}
			if m := bounds.FindStringSubmatch(row.kind); m != nil {
				low, _ := strconv.Atoi(m[1])
				high, _ := strconv.Atoi(m[2])
				takes(high+1, false)
				takes(low-1, row.path[:min(5, len(row.path))] == "jwks." && low == 1) // zero is unset there
				if row.path != "jwks.refreshSeconds" {                                // which keepSeconds bounds too
					takes(high, true)
				}
				if row.path != "jwks.keepSeconds" {
					takes(low, true)
				}
			}
			if words.MatchString(row.kind) {
				for word := range strings.SplitSeq(row.kind, ", ") {
					takes(strings.Trim(word, "`"), true)
				}
				takes("other", false)
			}
			switch row.fallback {
			case "":
			case "required":
				takes(nil, false)
			default:
				var value any
				if err := json.Unmarshal([]byte(row.fallback), &value); err != nil {
					t.Errorf("%s: the default of %s is no JSON", kind, row.path)
				}
				takes(value, true)
			}
		}
	}
}

// The defaults that are numbers and texts are what the code starts from.
func TestTheDefaultsOfThePageAreThoseOfTheCode(t *testing.T) {
	web, err := parseHTTP(json.RawMessage(`{"url":"https://h/"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := parseJWT(json.RawMessage(`{"jwks":{"url":"https://h/"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := token.JWKS.check(); err != nil {
		t.Fatal(err)
	}
	for kind, spec := range map[string]any{"http": web, "jwt": token} {
		for _, row := range settingTables(t)[kind] {
			if row.fallback == "" || row.fallback == "required" || row.path == "otherwise" {
				continue
			}
			at := reflect.ValueOf(spec)
			for key := range strings.SplitSeq(row.path, ".") {
				at = reflect.Indirect(at)
				field, ok := at.Type().FieldByNameFunc(func(name string) bool {
					f, _ := at.Type().FieldByName(name)
					return f.Tag.Get("json") == key
				})
				if !ok {
					t.Fatalf("%s has no %s", kind, row.path)
				}
				at = at.FieldByIndex(field.Index)
			}
			if got, _ := json.Marshal(at.Interface()); string(got) != row.fallback {
				t.Errorf("%s: the default of %s is %s, on the page %s", kind, row.path, got, row.fallback)
			}
		}
	}
	c, err := New("certificate", nil, deps())
	if own, ok := c.(*certificate); err != nil || !ok || !slices.Equal(own.in, []string{"cn"}) || *own.match != (template{}) {
		t.Errorf("the default of certificate is %+v, %v", c, err)
	}
	for kind, settings := range least(t) {
		for _, row := range settingTables(t)[kind] {
			if row.path != "otherwise" && row.path != "missing" {
				continue
			}
			a, err := New(kind, json.RawMessage(settings), deps())
			if err != nil {
				t.Fatal(err)
			}
			v, err := a.Authenticate(t.Context(), Request{Device: "nobody", Remote: addr("192.0.2.1")})
			if err != nil || fmt.Sprintf("%q", v.Decision) != row.fallback {
				t.Errorf("%s: the default of %s is %v, %v", kind, row.path, v, err)
			}
		}
	}
}

// The examples of the pages load, with what they name in variables and files.
func TestTheExamplesOfThePagesLoad(t *testing.T) {
	var pages string
	for _, name := range []string{"authentication.md", "operations.md", "identity.md"} {
		page, err := os.ReadFile(filepath.Join("../../../../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		pages += string(page)
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	d := deps()
	d.Database = new(Database)
	d.Environment = func(string) (string, bool) { return "a secret of thirty-two bytes, or more", true }
	d.ReadFile = func(path string) ([]byte, error) {
		if strings.HasSuffix(path, ".pem") {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), nil
		}
		return []byte("a secret of thirty-two bytes, or more\n"), nil
	}
	tried := make(map[string]bool)
	for _, part := range strings.Split(pages, "```json\n")[1:] {
		text, _, _ := strings.Cut(part, "\n```")
		var example struct {
			Authentication map[string]struct {
				Kind     string
				Settings json.RawMessage
			}
			Registration json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &example); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		try := func(kind string, settings json.RawMessage) {
			tried[kind] = true
			a, err := New(kind, settings, d)
			if err != nil {
				t.Errorf("%s %s: %v", kind, settings, err)
			}
			if c, ok := a.(interface{ Close() error }); ok && err == nil {
				_ = c.Close()
			}
		}
		for _, a := range example.Authentication {
			try(a.Kind, a.Settings)
		}
		if example.Registration != nil {
			try("http", example.Registration)
		}
	}
	if len(tried) < 6 {
		t.Errorf("tried are %v", tried)
	}
}
