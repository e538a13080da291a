package js

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dop251/goja"
)

// entryNames are the functions, and the examples, that a script may offer: as a
// member of module.exports, or declared at its top level.
var entryNames = []string{
	"begin", "split", "receive", "command", "tick", "resume", "explain", "check",
	"decodeUplink", "encodeDownlink", "decodeDownlink", "Decoder", "Encoder", "Decode", "Encode", "examples",
}

// instance is a run of the script's top level: variables of its own, functions of
// its own. Each link has one.
type instance struct {
	realm     *realm
	functions map[string]goja.Callable
	self      goja.Value // this of the functions: module.exports
	examples  goja.Value
	broken    bool // it ran into a limit: what it remembers may be half done
}

// instance runs the top level; the caller does not hold the realm.
func (r *realm) instance() (*instance, error) {
	i := &instance{realm: r, functions: map[string]goja.Callable{}}
	err := r.call(func() error {
		module, exports := r.vm.NewObject(), r.vm.NewObject()
		if err := module.Set("exports", exports); err != nil {
			return err
		}
		own := r.vm.CreateObject(r.vm.GlobalObject())
		declared, err := r.start(goja.Undefined(), r.arguments(own, module, exports, own)...)
		if err != nil {
			return err
		}
		i.self = module.Get("exports")
		offered, _ := i.self.(*goja.Object)
		entries, ok := declared.(*goja.Object)
		if !ok {
			return errors.New("the script returned from its top level")
		}
		for _, name := range entryNames {
			i.take(name, entries, offered)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// take looks for one entry.
func (i *instance) take(name string, declared, offered *goja.Object) {
	var v goja.Value
	if offered != nil {
		v = offered.Get(name)
	}
	if v == nil || goja.IsUndefined(v) {
		v = declared.Get(name)
	}
	if f, ok := goja.AssertFunction(v); ok {
		i.functions[name] = f
	} else if name == "examples" {
		i.examples = v
	}
}

// decoder is the payload formatter's function that the script has, "" for none.
func (i *instance) decoder() string {
	for _, name := range []string{"decodeUplink", "Decoder", "Decode"} {
		if i.functions[name] != nil {
			return name
		}
	}
	return ""
}

// run calls a function of the script within a budget, and take with what it returned.
func (i *instance) run(name string, arguments func() ([]goja.Value, error), take func(goja.Value) error) error {
	f := i.functions[name]
	if f == nil {
		return fmt.Errorf("%s has no %s: %w", i.realm.program.name, name, errors.ErrUnsupported)
	}
	if i.broken {
		return i.realm.program.brokenf("this link's script was ended before")
	}
	err := i.realm.call(func() error {
		list, err := arguments()
		if err != nil {
			return err
		}
		v, err := f(i.self, list...)
		if err != nil {
			return err
		}
		return take(v)
	})
	i.broken = isBroken(err)
	return err
}

// Example is a case that a script carries: text in the form of the files of package
// codectest, sections and all.
type Example struct{ Name, Text string }

// maxExamples bounds what a script may carry.
const maxExamples = 256

// examples gathers those of module.exports.examples, an object of texts by name or a
// list of {name, text}, and those in comments that begin with "/* example NAME".
func (r *realm) examples(i *instance, source string) ([]Example, error) {
	var list []Example
	if o, ok := i.examples.(*goja.Object); ok {
		err := r.call(func() error {
			for _, key := range o.Keys() {
				e := Example{Name: key}
				v := o.Get(key)
				if inner, ok := v.(*goja.Object); ok {
					if name := inner.Get("name"); name != nil {
						e.Name = name.String()
					}
					v = inner.Get("text")
				}
				text, ok := v.(goja.String)
				if !ok {
					return fmt.Errorf("%s: example %.40q has no text", r.program.name, e.Name)
				}
				e.Text = text.String()
				list = append(list, e)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list = append(list, commented(source)...)
	if len(list) > maxExamples {
		return nil, fmt.Errorf("%s: %d examples, at most %d are allowed", r.program.name, len(list), maxExamples)
	}
	return list, nil
}

// commented finds examples in comments.
func commented(source string) []Example {
	var list []Example
	for _, part := range strings.Split(source, "/*")[1:] {
		comment, _, closed := strings.Cut(part, "*/")
		head, text, _ := strings.Cut(strings.TrimLeft(comment, " "), "\n")
		if name, ok := strings.CutPrefix(head, "example "); ok && closed {
			list = append(list, Example{Name: strings.TrimSpace(name), Text: text})
		}
	}
	return list
}

// Examples returns the cases that the script carries, in its order.
func (p *Program) Examples() []Example { return append([]Example(nil), p.examples...) }
