package route

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestExpressionsComputeValues(t *testing.T) {
	m := &codec.Message{
		Device: "d1", ContentType: "application/json", Body: []byte("12345"),
		Properties: []codec.Property{{Name: "kind", Value: "alarm"}},
	}
	var body any
	if err := json.Unmarshal([]byte(`{"t": 215, "list": [1, 2], "in": {"a": "x"}}`), &body); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"message.body.t / 10":              "21.5",
		"message.body.in.a":                `"x"`,
		"message.body.none":                "null",
		"message.body.none?.deeper":        "null",
		"message.device":                   `"d1"`,
		"message.size":                     "5",
		"message.properties.kind":          `"alarm"`,
		"map(message.body.list, # * 2)":    "[2,4]",
		`message.body.t > 200 ? "hot" : 0`: `"hot"`,
		"{\"a\": message.contentType}":     `{"a":"application/json"}`,
		"message.body.in":                  `{"a":"x"}`,
	} {
		e, err := CompileExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for range 2 { // a worker that is used again
			v, err := e.Value(m, body)
			got, jsonErr := json.Marshal(v)
			if err != nil || jsonErr != nil || string(got) != want {
				t.Errorf("%s: got %s, %v, %v, want %s", text, got, err, jsonErr, want)
			}
		}
	}
}

func TestExpressionsHaveTheBoundsOfConditions(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "column",
		"message":                  "followed by a name",
		"1..1000000":               "ranges",
		"now()":                    "now",
		"let x = 1; x":             "let",
		"message.nothing":          "nothing",
		strings.Repeat("1+", 1024): "expression has 2048 bytes",
	} {
		if _, err := CompileExpression(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", text, err, want)
		}
	}
	e, err := CompileExpression("message.body.t + 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Value(&codec.Message{}, map[string]any{"t": "x"}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("text and a number: %v", err)
	}
}

func TestAnExpressionServesManyLinks(t *testing.T) {
	e, err := CompileExpression("message.body.n")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				if v, err := e.Value(&codec.Message{}, map[string]any{"n": i}); err != nil || v != i {
					t.Errorf("got %v, %v, want %d", v, err, i)
				}
			}
		})
	}
	all.Wait()
}
