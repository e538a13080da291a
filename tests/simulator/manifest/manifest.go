// Package manifest reads IoT Edge deployments: the template form with its placeholders,
// the generated form, and layered deployments with dotted keys. Placeholders and
// environment references that have no value are left as they are.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
)

// maxManifest bounds a manifest in bytes; IoT Hub's own limit for a deployment is lower.
const maxManifest = 4 << 20

// ErrInvalid is what every refused manifest wraps; the message names the JSON path.
var ErrInvalid = errors.New("deployment manifest")

// Manifest is what the simulator needs of a deployment.
type Manifest struct {
	// Modules are the custom modules, ordered by name.
	Modules []Module
	// Routes are ordered by name.
	Routes []Route
	// TimeToLiveSeconds is the store's; negative for no end.
	TimeToLiveSeconds int64
	// Desired holds the desired properties of each module that the manifest sets.
	Desired map[string]json.RawMessage
}

// Module is one custom module.
type Module struct {
	Name, Type, Status, RestartPolicy, Image string
	// CreateOptions is the object, wherever it was an object or cut strings.
	CreateOptions json.RawMessage
	// Env is env, and what createOptions.Env has besides.
	Env map[string]string
}

// Route is one route of $edgeHub.
type Route struct {
	Name, Text string
	// Priority is nil when the route names none.
	Priority          *uint32
	TimeToLiveSeconds uint32
}

// Read reads a manifest file, and layers to lie over it, the lowest first. expand returns
// the value of a placeholder such as MODULES.causeway or EDGE_RUNTIME_VERSION, and whether
// there is one; it may be nil.
func Read(path string, expand func(name string) (string, bool), layers ...string) (*Manifest, error) {
	properties := map[string]node{}
	for _, path := range append([]string{path}, layers...) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read deployment: %w", err)
		}
		if err := lay(properties, data, expand); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	m, err := build(properties)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(append([]string{path}, layers...), " with "), err)
	}
	return m, nil
}

// Parse reads a manifest, and layers to lie over it, see Read.
func Parse(data []byte, expand func(name string) (string, bool), layers ...[]byte) (*Manifest, error) {
	properties := map[string]node{}
	for _, data := range append([][]byte{data}, layers...) {
		if err := lay(properties, data, expand); err != nil {
			return nil, err
		}
	}
	return build(properties)
}

// lay puts a manifest over the desired properties of those below it.
func lay(below map[string]node, data []byte, expand func(string) (string, bool)) error {
	if len(data) > maxManifest {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrInvalid, len(data), maxManifest)
	}
	root, err := decode(data)
	if err != nil {
		return err
	}
	content, err := contentOf(root)
	if err != nil {
		return err
	}
	expandStrings(content.value, expand)
	return layModules(below, content)
}

// build reads the agent's and the hub's properties; the others are the modules' own.
func build(properties map[string]node) (*Manifest, error) {
	var err error
	m := &Manifest{TimeToLiveSeconds: -1, Desired: map[string]json.RawMessage{}}
	for name, desired := range properties {
		switch name {
		case "$edgeAgent":
			err = m.readAgent(desired)
		case "$edgeHub":
			err = m.readHub(desired)
		default:
			m.Desired[name], err = json.Marshal(desired.value)
		}
		if err != nil {
			return nil, err
		}
	}
	sort.Slice(m.Modules, func(i, j int) bool { return m.Modules[i].Name < m.Modules[j].Name })
	sort.Slice(m.Routes, func(i, j int) bool { return m.Routes[i].Name < m.Routes[j].Name })
	return m, nil
}

// contentOf finds modulesContent, also under its old name and inside content.
func contentOf(root node) (node, error) {
	if inner, ok := root.child("content"); ok {
		root = inner
	}
	for _, name := range []string{"modulesContent", "moduleContent"} {
		if inner, ok := root.child(name); ok {
			return inner, inner.object()
		}
	}
	return node{}, fmt.Errorf("%w: %s has neither modulesContent nor moduleContent", ErrInvalid, root.path)
}

// layModules adds each module's desired properties to what lies below.
func layModules(below map[string]node, content node) error {
	for _, name := range content.keys() {
		module, _ := content.child(name)
		if err := module.object(); err != nil {
			return err
		}
		desired, given, err := desiredOf(below[name], module)
		if err != nil {
			return err
		}
		if given {
			below[name] = node{path: module.path + ".properties.desired", value: desired}
		}
	}
	return nil
}

// desiredOf gathers properties.desired, {"properties":{"desired":..}} and the layered form
// properties.desired.a.b. The first two take the place of what lies below, the dotted form
// changes a part of it.
func desiredOf(below, module node) (map[string]any, bool, error) {
	desired, _ := below.value.(map[string]any)
	if desired == nil {
		desired = map[string]any{}
	}
	given, whole := false, false
	for _, key := range module.keys() { // in order: those that replace come first
		value, _ := module.child(key)
		switch {
		case key == "properties":
			inner, ok := value.child("desired")
			if !ok {
				continue
			}
			value = inner
		case key == "properties.desired":
		case strings.HasPrefix(key, "properties.desired."):
			given = true
			steps := strings.Split(strings.TrimPrefix(key, "properties.desired."), ".")
			if err := put(desired, steps, value); err != nil {
				return nil, false, err
			}
			continue
		default:
			continue
		}
		if err := value.object(); err != nil {
			return nil, false, err
		}
		if !whole {
			desired, whole = map[string]any{}, true
		}
		given = true
		overlay(desired, value.value.(map[string]any))
	}
	return desired, given, nil
}

// put sets the value at the steps of a dotted key, in place of what is there.
func put(doc map[string]any, steps []string, value node) error {
	for i, step := range steps {
		if step == "" {
			return fmt.Errorf("%w: %s has an empty name between dots", ErrInvalid, value.path)
		}
		if i == len(steps)-1 {
			doc[step] = value.value
			return nil
		}
		inner, ok := doc[step].(map[string]any)
		if !ok {
			inner = map[string]any{}
			doc[step] = inner
		}
		doc = inner
	}
	return nil
}

func overlay(doc, over map[string]any) {
	for key, value := range over {
		inner, isObject := value.(map[string]any)
		present, wasObject := doc[key].(map[string]any)
		if isObject && wasObject {
			overlay(present, inner)
		} else {
			doc[key] = value
		}
	}
}
