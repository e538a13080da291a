package inject_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/inject"
)

// hub remembers what it got.
type hub struct {
	module, input string
	got           edge.Message
	fail          error
}

func (h *hub) InjectInput(module, input string, m edge.Message) error {
	h.module, h.input, h.got = module, input, m
	return h.fail
}

func TestMessagesAreTakenAsByTheTestingUtility(t *testing.T) {
	t.Parallel()
	from := edge.Identity{Device: "edge", Module: "input"}
	for _, c := range []struct {
		name, body, origin string
		fail               error
		status             int
		answer             string
		want               edge.Message
	}{
		{
			"a message", `{"inputName":"in1","data":"hello","more":1}`, "", nil, 202, `{"message":"accepted"}`,
			edge.Message{From: from, Body: []byte("hello"), System: map[string]string{}},
		},
		{
			"with ids", `{"inputName":"in2","data":"","messageId":"1","correlationId":"2","userId":"u"}`, "", nil, 202, `{"message":"accepted"}`,
			edge.Message{From: from, Body: []byte{}, System: map[string]string{"messageId": "1", "cid": "2", "userId": "u"}},
		},
		{"an unknown input", `{"inputName":"in3","data":""}`, "", nil, 404, "one of: in1, in2", edge.Message{}},
		{"no data", `{"inputName":"in1"}`, "", nil, 404, "data is missing", edge.Message{}},
		{"no JSON", `hello`, "", nil, 404, "body", edge.Message{}},
		{"a web page", `{"inputName":"in1","data":"x"}`, "https://evil.example", nil, 403, "web pages", edge.Message{}},
		{
			"a full queue", `{"inputName":"in1","data":"x"}`, "", &edge.Refusal{Condition: "full"}, 500, `"error":"full`,
			edge.Message{From: from, Body: []byte("x"), System: map[string]string{}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := &hub{fail: c.fail}
			r := httptest.NewRequest("POST", "http://localhost:53000/api/v1/messages", strings.NewReader(c.body))
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			w := httptest.NewRecorder()
			inject.Handler(h, "edge", []string{"in1", "in2"}).ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || !reflect.DeepEqual(h.got, c.want) {
				t.Fatalf("got %d %s and %+v", w.Code, w.Body, h.got)
			}
			if c.status == 202 && (h.module != "target" || !strings.Contains(c.body, h.input)) {
				t.Fatalf("went to %s of %s", h.input, h.module)
			}
		})
	}
}
