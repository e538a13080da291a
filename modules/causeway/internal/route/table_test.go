package route

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func compileRules(tb testing.TB, rules ...Rule) *Table {
	tb.Helper()
	table, faults := Compile(rules)
	if faults != nil {
		tb.Fatal(faults)
	}
	return table
}

func tracker() *message.Message {
	return &message.Message{
		Device: "356307042441013", Listener: "trackers", Codec: "teltonika", Output: "telemetry",
		ContentType: "application/json", ContentEncoding: "utf-8",
		Body: []byte(`{"speed":80,"deep":{"er":[1,2,{"x":"y"}]},"flag":true,"none":null,"name":"n",
			"list":[1,5,9]}`),
		Properties: []message.Property{{Name: "kind", Value: "alarm"}, {Name: "level", Value: "3"}},
	}
}

// testdata/conditions.txt: what a condition is over tracker(): true, false, fails
// (at run time) or refused (when compiled), a tab, and the condition.
func TestConditionsHoldAsTheTableSays(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "conditions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		want, when, _ := strings.Cut(line, "\t")
		t.Run(when, func(t *testing.T) {
			table, faults := Compile([]Rule{{Name: "r", When: when, Output: "taken"}})
			if (want == "refused") != (faults != nil) {
				t.Fatalf("compile gives %v, want %s", faults, want)
			}
			if faults != nil {
				if text := faults[0].Error(); strings.Contains(text, "\n") || !strings.HasPrefix(text, "route r: ") {
					t.Errorf("error is %q", text)
				}
				return
			}
			m := tracker()
			table.Apply(m)
			if got := m.Output == "taken"; got != (want == "true") {
				t.Errorf("holds: %v, want %s; %s", got, want, table.LastError())
			}
			if got := table.Errors() > 0; got != (want == "fails") {
				t.Errorf("fails: %v %q, want %s", got, table.LastError(), want)
			}
			if strings.Contains(table.LastError(), "\n") {
				t.Errorf("last error has lines: %q", table.LastError())
			}
		})
	}
}

func TestTheFirstRuleThatHoldsTakesTheMessage(t *testing.T) {
	table := compileRules(t,
		Rule{Name: "z", Order: 1, When: "message.size > 1000", Output: "big"},
		Rule{Name: "c", Order: 5, Output: "c"},
		Rule{Name: "b", Order: 5, When: "message.codec == 'teltonika'", Output: "b"},
		Rule{Name: "a", Order: 9, Output: "a"},
	)
	m := tracker()
	if table.Apply(m); m.Output != "b" {
		t.Errorf("output is %s", m.Output)
	}
	m.Codec = "raw"
	if table.Apply(m); m.Output != "c" {
		t.Errorf("output is %s", m.Output)
	}
}

func TestAMessageThatNoRuleTakesIsLeftAlone(t *testing.T) {
	for _, table := range []*Table{
		nil, new(Table), compileRules(t),
		compileRules(t, Rule{Name: "r", When: "false", Output: "x", Properties: []message.Property{{Name: "a", Value: "b"}}}),
	} {
		m := tracker()
		if table.Apply(m); !reflect.DeepEqual(m, tracker()) || table.Errors() != 0 || table.LastError() != "" {
			t.Errorf("message is %+v", m)
		}
	}
}

func TestPropertiesAreAddedAndReplacedWithoutRegardToCase(t *testing.T) {
	table := compileRules(t, Rule{Name: "r", Output: "o", Properties: []message.Property{
		{Name: "KIND", Value: "x"}, {Name: "site", Value: "north"},
	}})
	m := tracker()
	table.Apply(m)
	want := []message.Property{{Name: "KIND", Value: "x"}, {Name: "level", Value: "3"}, {Name: "site", Value: "north"}}
	if !reflect.DeepEqual(m.Properties, want) {
		t.Errorf("properties are %v", m.Properties)
	}
}

func TestABodyIsLookedIntoOnlyWhenItIsJSON(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		taken             bool
		errors            uint64
	}{
		{"application/json", `{"a":1}`, true, 0},
		{"Application/JSON; charset=utf-8", `{"a":1}`, true, 0},
		{"application/vnd.x+json", `{"a":1}`, true, 0},
		{"text/plain", `{"a":1}`, false, 0},
		{"", `{"a":1}`, false, 0},
		{"application/json", `{"a":1`, false, 1},
		{"application/json", `null`, false, 0},
		{"application/json", `[1]`, false, 1},
		{"application/json", `{"b":"` + strings.Repeat("x", maxBody) + `"}`, false, 1},
	} {
		table := compileRules(t, Rule{Name: "r", When: "message.body.a == 1", Output: "taken"})
		m := tracker()
		m.ContentType, m.Body = c.contentType, []byte(c.body)
		table.Apply(m)
		if got := m.Output == "taken"; got != c.taken || table.Errors() != c.errors {
			t.Errorf("%s %.20s: taken %v, %d errors %q", c.contentType, c.body, got, table.Errors(), table.LastError())
		}
	}
}

func TestAFailedConditionIsCountedAndTheNextIsTried(t *testing.T) {
	table := compileRules(t,
		Rule{Name: "a", When: "message.body.speed > 'fast'", Output: "a"},
		Rule{Name: "b", When: "message.body.speed > 50", Output: "b"},
	)
	m := tracker()
	if table.Apply(m); m.Output != "b" {
		t.Errorf("output is %s", m.Output)
	}
	if table.Errors() != 1 || !strings.HasPrefix(table.LastError(), "route a: ") {
		t.Errorf("%d errors, last %q", table.Errors(), table.LastError())
	}
}

func TestEveryFaultyRuleIsReportedByName(t *testing.T) {
	table, faults := Compile([]Rule{
		{Name: "z", When: "message.nothing == 1", Output: "o"}, {Name: "ok", Output: "o"},
		{Name: "a", When: "1 +", Output: "o"},
	})
	if table != nil || len(faults) != 2 || faults[0].Name != "a" || faults[1].Name != "z" {
		t.Fatalf("faults are %v", faults)
	}
	if text := faults[1].Error(); !strings.Contains(text, "nothing") || !strings.Contains(text, "at column") {
		t.Errorf("fault is %q", text)
	}
	if errors.Unwrap(faults[0]) == nil {
		t.Error("nothing is wrapped")
	}
}

func TestOneMessagesPropertiesAndBodyAreNotSeenByTheNext(t *testing.T) {
	table := compileRules(t, Rule{
		Name: "r", When: "message.properties.kind == 'alarm' or message.body.speed == 80", Output: "x",
	})
	table.Apply(tracker())
	m := tracker()
	m.Properties, m.Body = nil, []byte(`{}`)
	if table.Apply(m); m.Output != "telemetry" {
		t.Errorf("output is %s", m.Output)
	}
}

func TestATableIsSharedByManyGoroutines(t *testing.T) {
	table := compileRules(t,
		Rule{Name: "a", When: "message.properties.kind == 'alarm' && message.body.speed > 79", Output: "a"},
		Rule{Name: "b", When: "message.body.deep.er[2].x == 'y'", Output: "b"})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				m, want := tracker(), "a"
				if i%2 == 1 {
					m.Properties, want = nil, "b"
				}
				if table.Apply(m); m.Output != want {
					t.Errorf("output is %s, want %s", m.Output, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzCondition(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "conditions.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, when, ok := strings.Cut(line, "\t"); ok {
			f.Add(when)
		}
	}
	f.Fuzz(func(t *testing.T, when string) {
		table, faults := Compile([]Rule{{Name: "r", When: when, Output: "taken"}})
		if (table == nil) != (len(faults) > 0) {
			t.Fatal("neither a table nor faults, or both")
		}
		if faults != nil && strings.Contains(faults[0].Error(), "\n") {
			t.Fatalf("%q has lines", faults[0].Error())
		}
		table.Apply(tracker())
	})
}
