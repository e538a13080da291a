package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRangesGrowAndCount(t *testing.T) {
	var r Ranges
	r = r.Append(1, 3)
	r = r.Append(4, 4)
	r = r.Append(6, 6)
	if want := (Ranges{{1, 4}, {6, 6}}); !reflect.DeepEqual(r, want) || r.Count() != 5 {
		t.Errorf("got %v, %d numbers", r, r.Count())
	}
}

func TestRangesAreTextInJSON(t *testing.T) {
	for text, want := range map[string]Ranges{
		`""`: nil, `"7"`: {{7, 7}}, `"1-40,42"`: {{1, 40}, {42, 42}}, `"1-2,3-4"`: {{1, 4}},
	} {
		var got Ranges
		if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{`7`, `"a"`, `"3-1"`, `"5,1"`, `"1-2-3"`, `"1,1"`, `"-"`, `","`} {
		if err := json.Unmarshal([]byte(bad), new(Ranges)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestReportComesBackAsWritten(t *testing.T) {
	in := &Report{Version: "1.2.3", Devices: []Device{
		{Device: "a", Kind: "meter", First: 5, Sent: 10, Acknowledged: Ranges{{5, 9}, {14, 14}}, Resent: 2},
		{Device: "b", Kind: "line", First: 1, Sent: 1, Commands: 3, Errors: 1, LastError: "eof"},
	}}
	var b bytes.Buffer
	if err := in.Write(&b); err != nil {
		t.Fatal(err)
	}
	out, err := Read(&b)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got %+v, %v", out, err)
	}
	if sum := out.Totals(); sum.Sent != 11 || sum.Resent != 2 || sum.Commands != 3 || sum.Errors != 1 {
		t.Errorf("totals %+v", sum)
	}
}

func TestReportsThatContradictThemselvesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":               `devices`,
		"no id":                 `{"devices":[{"first":1}]}`,
		"an id twice":           `{"devices":[{"device":"a"},{"device":"a"}]}`,
		"acknowledged unsent":   `{"devices":[{"device":"a","first":1,"sent":3,"acknowledged":"1-4"}]}`,
		"acknowledged before":   `{"devices":[{"device":"a","first":5,"sent":3,"acknowledged":"4"}]}`,
		"acknowledged, sent 0":  `{"devices":[{"device":"a","first":1,"sent":0,"acknowledged":"1"}]}`,
		"a range of the wrong":  `{"devices":[{"device":"a","first":1,"sent":3,"acknowledged":"3-1"}]}`,
		"a number out of range": `{"devices":[{"device":"a","first":-1}]}`,
	} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRanges(f *testing.F) {
	f.Add(`"1-40,42"`)
	f.Fuzz(func(t *testing.T, text string) {
		var r Ranges
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Ranges
		if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%s became %v, then %v (%v)", text, r, again, err)
		}
	})
}
