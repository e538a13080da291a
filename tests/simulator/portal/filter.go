package portal

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/control"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxSearched bounds how much of a body is searched for text, in bytes: 1,000 messages of
// 256 KiB a second would cost a core.
const maxSearched = 16 << 10

// filter says which messages a page wants to see. Empty fields take all.
type filter struct {
	identity *edge.Identity
	// output and text are in lower case, and found anywhere in what they are compared with.
	output string
	text   []byte
}

// readFilter takes identity (a module, device/module, or device/), output and text.
func readFilter(q url.Values, device string) (filter, error) {
	f := filter{output: strings.ToLower(q.Get("output")), text: []byte(strings.ToLower(q.Get("text")))}
	if text := q.Get("identity"); text != "" {
		id, err := control.ParseIdentity(text, device)
		if err != nil {
			return filter{}, err
		}
		f.identity = &id
	}
	return f, nil
}

func (f *filter) narrow() bool { return f.identity != nil || f.output != "" || len(f.text) > 0 }

func (f *filter) takes(m *edge.Message) bool {
	if f.identity != nil && *f.identity != m.From {
		return false
	}
	if f.output != "" && !strings.Contains(strings.ToLower(m.Output), f.output) {
		return false
	}
	return len(f.text) == 0 || f.found(m)
}

func (f *filter) found(m *edge.Message) bool {
	if strings.Contains(strings.ToLower(m.From.String()), string(f.text)) {
		return true // of hundreds of devices one is looked for by its name
	}
	body := m.Body[:min(len(m.Body), maxSearched)]
	if bytes.Contains(bytes.ToLower(body), f.text) {
		return true
	}
	for _, properties := range []map[string]string{m.Properties, m.System} {
		for name, value := range properties {
			if strings.Contains(strings.ToLower(name+"="+value), string(f.text)) {
				return true
			}
		}
	}
	return false
}
