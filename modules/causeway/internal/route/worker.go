package route

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const (
	// memoryBudget bounds the elements that one evaluation creates: as many as a
	// body of the hub's 256 KiB can hold, so that only nesting exceeds it.
	memoryBudget = 256 << 10
	// maxBody bounds the JSON that is decoded for conditions; the hub takes no
	// larger message.
	maxBody = 256 << 10
)

// worker evaluates conditions; the table pools them.
type worker struct {
	vm  vm.VM
	env environment
	// empty stands for the body of messages that are not JSON.
	empty map[string]any
}

func newWorker() *worker {
	return &worker{
		vm:    vm.VM{MemoryBudget: memoryBudget},
		env:   environment{Message: &view{Properties: make(map[string]string)}},
		empty: make(map[string]any),
	}
}

func (w *worker) load(t *Table, m *message.Message) {
	v := w.env.Message
	v.Device, v.Listener, v.Codec, v.Output = m.Device, m.Listener, m.Codec, m.Output
	v.ContentType, v.Size = m.ContentType, len(m.Body)
	if t.properties {
		for _, p := range m.Properties {
			v.Properties[p.Name] = p.Value
		}
	}
	if t.body {
		v.Body = w.body(t, m)
	}
}

func (w *worker) body(t *Table, m *message.Message) any {
	if !isJSON(m.ContentType) {
		return w.empty
	}
	if len(m.Body) > maxBody {
		t.fail(fmt.Errorf("body of device %s has %d bytes, conditions look at no more than %d",
			m.Device, len(m.Body), maxBody))
		return w.empty
	}
	var body any
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.fail(fmt.Errorf("body of device %s is not the JSON it claims to be: %w", m.Device, err))
		return w.empty
	}
	if body == nil {
		return w.empty
	}
	return body
}

// unload lets go of the message, so that a pooled worker keeps nothing alive. The
// machine's scopes hold parts of the body, so after a body it is a new one.
func (w *worker) unload(t *Table) {
	properties := w.env.Message.Properties
	clear(properties)
	*w.env.Message = view{Properties: properties}
	if t.body {
		w.vm = vm.VM{MemoryBudget: memoryBudget}
		return
	}
	clear(w.vm.Stack[:cap(w.vm.Stack)])
}

func (w *worker) holds(t *Table, rule *compiled) bool {
	result, err := w.vm.Run(rule.program, &w.env)
	if err != nil {
		t.fail(RuleError{rule.Name, oneLine(err)})
		return false
	}
	holds, ok := result.(bool)
	if !ok {
		t.fail(RuleError{rule.Name, fmt.Errorf("gives %T, must give true or false", result)})
	}
	return holds
}

// isJSON reports whether a content type is application/json or ends in +json.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	const suffix = "+json"
	return strings.EqualFold(media, "application/json") ||
		len(media) > len(suffix) && strings.EqualFold(media[len(media)-len(suffix):], suffix)
}
