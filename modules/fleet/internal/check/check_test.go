package check

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

// run is a report of two devices: the tracker sent 1 to 5 and was told that 1 to
// 4 are safe, the meter sent 10 to 12 and was told nothing.
func run() *report.Report {
	return &report.Report{Devices: []report.Device{
		{Device: "352093081452251", Kind: "tracker", First: 1, Sent: 5, Acknowledged: report.Ranges{{From: 1, To: 4}}},
		{Device: "meter-7", Kind: "meter", First: 10, Sent: 3, Unconfirmed: true},
	}}
}

// arrived makes messages of numbers: "t" is the tracker's, "m" the meter's. A "!" before
// it makes it a dead letter.
func arrived(list string) []Message {
	var out []Message
	for word := range strings.FieldsSeq(list) {
		word, refused := strings.CutPrefix(word, "!")
		m := Message{Device: map[byte]string{'t': "352093081452251", 'm': "meter-7"}[word[0]], Refused: refused}
		if m.Device == "" {
			m.Device = "stranger"
		}
		if n, err := strconv.ParseUint(word[1:], 10, 64); err == nil {
			m.Numbers = []uint64{n}
		}
		out = append(out, m)
	}
	return out
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		messages string
		others   bool
		want     bool
		says     string
	}{
		"everything, once":                         {"t1 t2 t3 t4 t5 m10 m11 m12", false, true, "verdict: every"},
		"what was not acknowledged may be missing": {"t1 t2 t3 t4 m11", false, true, "verdict: every"},
		"duplicates in any place":                  {"t1 t2 t1 t2 t3 t4 t3", false, true, "verdict: every"},
		"devices interleaved":                      {"m10 t1 t2 m11 t3 m12 t4", false, true, "verdict: every"},
		"others, where they are allowed":           {"t1 t2 t3 t4 x9", true, true, "1 messages of devices"},
		"one acknowledged is missing":              {"t1 t2 t4", false, false, `lost: "3"`},
		"all acknowledged are missing":             {"", false, false, `lost: "1-4"`},
		"the last acknowledged is missing":         {"t1 t2 t3 t5", false, false, `lost: "4"`},
		"out of order":                             {"t1 t3 t2 t4", false, false, "failed"},
		"out of order, though not acknowledged":    {"t1 t2 t3 t4 m12 m10", false, false, "failed"},
		"a number that was never sent":             {"t1 t2 t3 t4 t6", false, false, "failed"},
		"a number before the first":                {"t1 t2 t3 t4 m9", false, false, "failed"},
		"no number":                                {"t1 t2 t3 t4 m?", false, false, "failed"},
		"a device that nobody knows":               {"t1 t2 t3 t4 x1", false, false, "stranger"},

		"refused for good, and late":             {"t1 t3 t4 !t2 t1 t2 t3 t4", false, true, `refused them for good: "2"`},
		"the letter later still":                 {"t1 t3 t4 t2 t3 t4 !t2", false, true, `refused them for good: "2"`},
		"the letter twice":                       {"t1 t3 !t2 !t2 t1 t2 t3 t4", false, true, `refused them for good: "2"`},
		"several refused, all late":              {"t3 !t2 !t1 t1 t2 t3 t4", false, true, `refused them for good: "1-2"`},
		"refused for good, and in order":         {"t1 !t2 t2 t3 t4", false, true, "verdict: every"},
		"refused for good, and not acknowledged": {"t1 t2 t3 t4 !t5 !m10 m11", false, true, "verdict: every"},
		"another late than was refused":          {"t1 t3 t4 !t1 t2", false, false, "failed"},
		"another late besides the refused":       {"t3 t4 !t2 t1 t2 t3 t4", false, false, "failed"},
		"late, refused of another device":        {"t1 t2 t3 t4 !t10 m11 m10", false, false, "failed"},
		"late, and the letter of nobody known":   {"t1 t3 t4 !x2 t2", false, false, "failed"},
		"refused, acknowledged, and not there":   {"t1 t3 t4 !t2", false, false, `lost: "2"`},
		"one refused is late, another not there": {"t3 t4 !t1 !t2 t1", false, false, `lost: "2"`},
	} {
		t.Run(name, func(t *testing.T) {
			result := Compare(run(), arrived(c.messages), c.others)
			var out bytes.Buffer
			if err := result.Write(&out); err != nil {
				t.Fatal(err)
			}
			if result.OK() != c.want || !strings.Contains(out.String(), c.says) {
				t.Errorf("verdict %v, want %v, with %q:\n%s", result.OK(), c.want, c.says, &out)
			}
		})
	}
}

func TestRowCounts(t *testing.T) {
	got := Compare(run(), arrived("t1 t1 t4 t3 t9 t?"), false).Rows[0]
	want := Row{
		Device: "352093081452251", Kind: "tracker", Sent: 5, Acked: 4, Delivered: 3, Duplicates: 1, Reordered: 1,
		Invented: 1, Unreadable: 1, Lost: report.Ranges{{From: 2, To: 2}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestBodiesOfEveryShape(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []uint64
	}{
		"a meter":             {`{"serial":"meter-7","seq":12,"kWh":1.5}`, []uint64{12}},
		"a number as text":    {`{"id":"line-3","seq":"12"}`, []uint64{12}},
		"beyond 2^53":         {`{"seq":18446744073709551615}`, []uint64{18446744073709551615}},
		"a tracker":           {`{"timestamp":"x","io":{"ignition":1,"totalOdometer":12}}`, []uint64{12}},
		"a tracker's raw ids": {`{"io":{"avl_239":1,"avl_16":12}}`, []uint64{12}},
		"ids alone":           {`{"io":{"16":12}}`, []uint64{12}},
		"a value and a unit":  {`{"io":{"Total Odometer":{"value":12,"unit":"m"}}}`, []uint64{12}},
		"several records":     {`[{"io":{"avl_16":1}},{"io":{"avl_16":2}}]`, []uint64{1, 2}},
		"records in a packet": {`{"records":[{"io":{"avl_16":1}},{"io":{"avl_16":2}}]}`, []uint64{1, 2}},
		"columns":             {`["line-3","12","2026"]`, []uint64{12}},
		"columns by default":  {`{"column1":"line-3","column2":"12"}`, []uint64{12}},
		"a line":              {`"line-3,12,2026-01-01T00:00:00Z,21.5"`, []uint64{12}},
		"JSON as text":        {`"{\"seq\":12}"`, []uint64{12}},
		"base64":              {`"eyJzZXEiOjEyfQ=="`, []uint64{12}},
		"nothing":             {`{"serial":"meter-7"}`, nil},
		"a negative number":   {`{"seq":-1}`, nil},
		"null":                {`null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			messages, err := ReadMessages(strings.NewReader(`{"properties":{"deviceId":"a"},"body":` + c.body + `}`))
			if err != nil || len(messages) != 1 || !reflect.DeepEqual(messages[0].Numbers, c.want) {
				t.Errorf("got %+v, %v; want %v", messages, err, c.want)
			}
		})
	}
}

func TestSourcesOfEveryShape(t *testing.T) {
	one := `{"seq":1,"output":"telemetry","properties":{"deviceId":"a"},"body":{"seq":1}}`
	two := `{"seq":2,"output":"deadletter","properties":{"DEVICEID":"b","kind":"refused"},"body":{"seq":2}}`
	for name, text := range map[string]string{
		"an array":     "[" + one + "," + two + "]",
		"newest first": "[" + two + "," + one + "]",
		"lines":        one + "\n" + two + "\n",
		"a page":       `{"messages":[` + one + "," + two + "]}",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadMessages(strings.NewReader(text))
			if err != nil || len(got) != 2 || got[0].Device != "a" || got[1].Device != "b" || got[1].Output != "deadletter" ||
				got[0].Refused || !got[1].Refused {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, bad := range []string{"[", `{"seq":1`, "1", `"a"`, `{"messages":[1]}`} {
		if _, err := ReadMessages(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestCommand(t *testing.T) {
	folder := t.TempDir()
	reportFile := filepath.Join(folder, "report.json")
	var b bytes.Buffer
	if err := run().Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(reportFile, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	page := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/messages" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page))
	}))
	defer server.Close()
	tracker := func(n string) string {
		return `{"output":"telemetry","properties":{"deviceId":"352093081452251"},"body":{"io":{"avl_16":` + n + `}}}`
	}
	dead := `{"output":"deadletter","properties":{"deviceId":"meter-7"},"body":"00ff"}`
	about := func(output, kind, n string) string {
		return `{"output":"` + output + `","properties":{"deviceId":"352093081452251","kind":"` + kind + `"},"body":{"io":{"avl_16":` + n + `}}}`
	}
	late := tracker("1") + tracker("3") + tracker("4") + tracker("2")
	for name, c := range map[string]struct {
		page, url string
		want      error
		fails     bool
	}{
		"no JSON":                          {"[" + tracker("1") + tracker("2") + tracker("3") + tracker("4") + dead + "]", "/messages", nil, true},
		"all there":                        {tracker("1") + tracker("2") + tracker("3") + tracker("4") + dead, "/messages", nil, false},
		"one missing":                      {tracker("1") + tracker("3") + tracker("4"), "/messages", ErrViolation, true},
		"one refused, and late":            {late + about("deadletter", "refused", "2"), "/messages", nil, false},
		"late, and malformed":              {late + about("deadletter", "malformed", "2"), "/messages", ErrViolation, true},
		"late, and no letter but the like": {late + about("telemetry", "refused", "2"), "/messages", ErrViolation, true},
		"no such page":                     {"", "/other", nil, true},
		"nothing there":                    {"", "/messages", ErrViolation, true},
	} {
		t.Run(name, func(t *testing.T) {
			page = c.page
			var out bytes.Buffer
			err := Command(t.Context(), []string{"-report", reportFile, "-messages", server.URL + c.url}, &out)
			if (err != nil) != c.fails || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v\n%s", err, c.want, &out)
			}
		})
	}
	if err := Command(t.Context(), []string{"-help"}, &b); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
	if err := Command(t.Context(), nil, &b); err == nil {
		t.Error("no flags: no error")
	}
}

func TestPagesAreFollowedToTheLast(t *testing.T) {
	const messages, limit = 25, 10
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		since, err := strconv.Atoi(r.FormValue("since"))
		if err != nil && r.FormValue("since") != "" {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for n := since + 1; n <= min(since+limit, messages); n++ {
			_, _ = fmt.Fprintf(w, `{"sequence":%d,"device":"edge","properties":{"deviceId":"a"},"body":{"seq":%d}}`, n, n)
		}
	}))
	defer server.Close()
	for query, want := range map[string]int{"": messages, "?since=5": messages - 5, "?limit=10": messages} {
		got, err := readAll(t.Context(), server.URL+query)
		if err != nil || len(got) != want || got[len(got)-1].Numbers[0] != messages || got[0].Device != "a" {
			t.Errorf("%q: %d messages, %v; want %d", query, len(got), err, want)
		}
	}
}

func TestAServerThatIgnoresSinceIsAskedTwiceAtMost(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, `[{"seq":1,"body":{"seq":1}},{"seq":2,"bodyBase64":"bGluZS0zLDEyLHg="}]`)
	}))
	defer server.Close()
	got, err := readAll(t.Context(), server.URL)
	if err != nil || len(got) != 2 || asked != 2 || got[1].Numbers[0] != 12 {
		t.Errorf("%v after %d requests, %v", got, asked, err)
	}
}

func FuzzReadMessages(f *testing.F) {
	f.Add([]byte(`[{"seq":1,"properties":{"deviceId":"a"},"body":{"records":[{"io":{"avl_16":1}}]}}]`))
	f.Add([]byte(`{"body":"line-3,12,x"}{"body":"eyJzZXEiOjEyfQ=="}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		messages, err := ReadMessages(bytes.NewReader(b))
		if err == nil {
			Compare(run(), messages, true)
		}
	})
}
