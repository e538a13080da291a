package portal

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// FuzzRow: whatever a message holds, its row is bounded and survives JSON unchanged.
func FuzzRow(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "name", "value")
	f.Add([]byte(strings.Repeat("\u20ac", 200)), strings.Repeat("\u20ac", 200), "\xff")
	f.Add([]byte(strings.Repeat("a", maxPreview-1)+"\u20ac\xff"), "", "")
	f.Add([]byte{0, 0xff}, "\xe2\x82", strings.Repeat("\xe2", 300))
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		shown := show(&edge.Upstream{Message: edge.Message{Body: body, Properties: map[string]string{name: value}}})
		if len(shown.Preview) > maxPreview || !utf8.ValidString(shown.Preview) || shown.Size != len(body) {
			t.Fatalf("preview of %q: %+v", body, shown)
		}
		for k, v := range shown.Properties {
			if len(k) > maxValue+len("…") || len(v) > maxValue+len("…") {
				t.Fatalf("properties %q", shown.Properties)
			}
		}
		text, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		var back row
		if err := json.Unmarshal(text, &back); err != nil || back.Preview != shown.Preview {
			t.Fatalf("came back as %q: %v", back.Preview, err)
		}
	})
}

func TestPreviews(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, preview string
		binary              bool
	}{
		{"text", "a\tb\n", "a\tb\n", false},
		{"control characters", "a\x00", "61 00", true},
		{"no UTF-8", "\xff", "ff", true},
		{"nothing", "", "", false},
		{"a cut inside a character", strings.Repeat("a", maxPreview-1) + "\u20acb", strings.Repeat("a", maxPreview-1), false},
		{"long and binary", strings.Repeat("\x00", 1000), strings.TrimSpace(strings.Repeat("00 ", maxPreview/3)), true},
	} {
		shown := show(&edge.Upstream{Message: edge.Message{Body: []byte(c.body)}})
		if shown.Preview != c.preview || shown.Binary != c.binary {
			t.Errorf("%s: got %q, binary %v", c.name, shown.Preview, shown.Binary)
		}
	}
}

func TestALeafDeviceIsFoundAndShownByItsName(t *testing.T) {
	t.Parallel()
	m := edge.Message{From: edge.Identity{Device: "meter-217"}, Body: []byte("21")}
	for text, want := range map[string]bool{"METER-21": true, "meter-218": false, "21": true} {
		f, err := readFilter(url.Values{"text": {text}}, "edge")
		if err != nil || f.takes(&m) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	if shown := show(&edge.Upstream{Message: m}); shown.Device != "meter-217" || shown.Module != "" || shown.Output != "" {
		t.Errorf("got %+v", shown)
	}
}

func BenchmarkFilter(b *testing.B) {
	m := edge.Message{
		Output: "telemetry", Body: []byte(`{"id":"line-1","seq":4,"time":"2026-11-28T20:18:58.873Z","value":18.4}`),
		Properties: map[string]string{"codec": "csv", "deviceId": "line-1"},
	}
	f := filter{text: []byte("nowhere")}
	b.ReportAllocs()
	for b.Loop() {
		if f.takes(&m) {
			b.Fatal("found")
		}
	}
}
