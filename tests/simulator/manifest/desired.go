package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// moduleName is what the published schemas allow.
var moduleName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// maxCreateOptions is how many pieces tools cut createOptions into, and read.
const maxCreateOptions = 100

// readAgent reads the modules of $edgeAgent.
func (m *Manifest) readAgent(desired node) error {
	modules, ok := desired.child("modules")
	if !ok {
		return nil
	}
	if err := modules.object(); err != nil {
		return err
	}
	for _, name := range modules.keys() {
		entry, _ := modules.child(name)
		if !moduleName.MatchString(name) {
			return fmt.Errorf("%w: %s: the name may hold letters, digits, _ and - only", ErrInvalid, entry.path)
		}
		if entry.value == nil { // a layered deployment takes a module away with null
			continue
		}
		module, err := readModule(name, entry)
		if err != nil {
			return err
		}
		m.Modules = append(m.Modules, module)
	}
	return nil
}

func readModule(name string, entry node) (Module, error) {
	if err := entry.object(); err != nil {
		return Module{}, err
	}
	module := Module{Name: name}
	settings, _ := entry.child("settings")
	if err := settings.object(); err != nil {
		return Module{}, err
	}
	fields := []struct {
		from    node
		name    string
		into    *string
		allowed string
	}{
		{entry, "type", &module.Type, "docker"},
		{entry, "status", &module.Status, "running stopped"},
		{entry, "restartPolicy", &module.RestartPolicy, "never on-failure on-unhealthy always"},
		{settings, "image", &module.Image, ""},
	}
	for _, f := range fields {
		text, err := f.from.text(f.name, true)
		if err != nil {
			return Module{}, err
		}
		if f.allowed != "" && !strings.Contains(" "+f.allowed+" ", " "+text+" ") {
			return Module{}, fmt.Errorf("%w: %s.%s is %q, it must be one of: %s",
				ErrInvalid, f.from.path, f.name, text, f.allowed)
		}
		*f.into = text
	}
	var err error
	if module.CreateOptions, err = createOptions(settings); err != nil {
		return Module{}, err
	}
	module.Env, err = environment(entry)
	if err != nil {
		return Module{}, err
	}
	return module, module.containerEnvironment(settings.path)
}

// containerEnvironment adds createOptions.Env, whose entries are NAME=value; those of env
// have precedence, as on a device.
func (m *Module) containerEnvironment(path string) error {
	var options struct {
		Env []string `json:"Env"`
	}
	if err := json.Unmarshal(m.CreateOptions, &options); err != nil {
		return fmt.Errorf("%w: %s.createOptions.Env must be a list of strings: %w", ErrInvalid, path, err)
	}
	for _, entry := range options.Env {
		name, value, ok := strings.Cut(entry, "=")
		if _, given := m.Env[name]; !ok || given {
			continue
		}
		if m.Env == nil {
			m.Env = map[string]string{}
		}
		m.Env[name] = value
	}
	return nil
}

// createOptions returns the object, from an object or from a string that may be cut into
// createOptions, createOptions01, createOptions02 and so on.
func createOptions(settings node) (json.RawMessage, error) {
	first, ok := settings.child("createOptions")
	if !ok || first.value == nil {
		return json.RawMessage("{}"), nil
	}
	if _, ok := first.value.(map[string]any); ok {
		text, err := json.Marshal(first.value)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, first.path, err)
		}
		return text, nil
	}
	text, ok := first.value.(string)
	if !ok {
		return nil, fmt.Errorf("%w: %s must be an object or a string", ErrInvalid, first.path)
	}
	for i := 1; i < maxCreateOptions; i++ {
		piece, ok := settings.child(fmt.Sprintf("createOptions%02d", i))
		if !ok {
			break
		}
		more, ok := piece.value.(string)
		if !ok {
			return nil, fmt.Errorf("%w: %s must be a string", ErrInvalid, piece.path)
		}
		text += more
	}
	if strings.TrimSpace(text) == "" {
		return json.RawMessage("{}"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, fmt.Errorf("%w: %s must be the text of a JSON object: %w", ErrInvalid, first.path, err)
	}
	return json.RawMessage(text), nil
}

// environment reads env.<NAME>.value; numbers and booleans become their text.
func environment(entry node) (map[string]string, error) {
	env, ok := entry.child("env")
	if !ok || env.value == nil {
		return nil, nil
	}
	if err := env.object(); err != nil {
		return nil, err
	}
	result := map[string]string{}
	for _, name := range env.keys() {
		variable, _ := env.child(name)
		value, _ := variable.child("value")
		switch v := value.value.(type) {
		case string:
			result[name] = v
		case json.Number:
			result[name] = v.String()
		case bool:
			result[name] = strconv.FormatBool(v)
		default:
			return nil, fmt.Errorf("%w: %s must be a string", ErrInvalid, value.path)
		}
	}
	return result, nil
}

// readHub reads routes and the store's time to live of $edgeHub.
func (m *Manifest) readHub(desired node) error {
	minor, err := hubSchema(desired)
	if err != nil {
		return err
	}
	if store, ok := desired.child("storeAndForwardConfiguration"); ok {
		if err := store.object(); err != nil {
			return err
		}
		seconds, found, err := store.integer("timeToLiveSecs", math.MinInt32, math.MaxInt32)
		if err != nil {
			return err
		}
		if found {
			m.TimeToLiveSeconds = seconds
		}
	}
	routes, ok := desired.child("routes")
	if !ok {
		return nil
	}
	if err := routes.object(); err != nil {
		return err
	}
	for _, name := range routes.keys() {
		entry, _ := routes.child(name)
		if strings.ContainsAny(name, ".$# ") || name == "" {
			return fmt.Errorf("%w: %s: the name may hold no . $ # or space", ErrInvalid, entry.path)
		}
		if entry.value == nil {
			continue
		}
		r, err := readRoute(name, entry)
		if err != nil {
			return err
		}
		if _, isText := entry.value.(string); !isText && minor < 1 {
			return fmt.Errorf("%w: %s: routes as objects need schemaVersion 1.1 or later", ErrInvalid, entry.path)
		}
		m.Routes = append(m.Routes, r)
	}
	return nil
}

// hubSchema returns the minor version of $edgeHub's schema. The real hub takes 1.0 to 1.3
// and refuses the whole configuration otherwise; layers and fragments may name none.
func hubSchema(desired node) (minor int, err error) {
	entry, ok := desired.child("schemaVersion")
	if !ok {
		return 1, nil
	}
	text, _ := entry.value.(string)
	parts := strings.Split(text, ".")
	if len(parts) >= 2 && parts[0] == "1" && len(parts[1]) == 1 && "0" <= parts[1] && parts[1] <= "3" {
		return int(parts[1][0] - '0'), nil
	}
	return 0, fmt.Errorf("%w: %s is %v, it must be 1.0 to 1.3", ErrInvalid, entry.path, entry.value)
}

func readRoute(name string, entry node) (Route, error) {
	r := Route{Name: name}
	if text, ok := entry.value.(string); ok {
		r.Text = text
		return r, nil
	}
	if err := entry.object(); err != nil {
		return Route{}, fmt.Errorf("%w, or a string", err)
	}
	var err error
	if r.Text, err = entry.text("route", true); err != nil {
		return Route{}, err
	}
	priority, found, err := entry.integer("priority", 0, 9)
	if err != nil {
		return Route{}, err
	}
	if found {
		p := uint32(priority)
		r.Priority = &p
	}
	seconds, _, err := entry.integer("timeToLiveSecs", 0, math.MaxUint32)
	r.TimeToLiveSeconds = uint32(seconds)
	return r, err
}
