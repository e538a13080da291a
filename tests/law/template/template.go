// Package template reads deployment templates as the Azure IoT Edge tools do and
// makes deployment manifests of them, without Docker and without a network.
package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	// chunk is the longest text value of a module twin.
	chunk = 512
	// maxChunks is how many pieces of create options the edge agent joins:
	// createOptions, createOptions01 to createOptions07.
	maxChunks = 8
)

// ErrTooLong is returned for create options that do not fit eight pieces.
var ErrTooLong = errors.New("create options over 8 pieces of 512 characters")

var placeholder = regexp.MustCompile(`\$(\{[^}]*\}|[A-Za-z0-9_]+)`)

// Expand replaces $NAME and ${NAME} by what lookup knows. What it does not know
// stays as it is, for $upstream, $edgeHub and $schema look the same.
func Expand(text string, lookup func(name string) (string, bool)) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found[1:], "{}")
		if value, ok := lookup(name); ok {
			return value
		}
		return found
	})
}

// Manifest makes the deployment manifest: placeholders are replaced, create
// options become text in pieces, and the template's own keys go. The result is
// indented JSON with its keys in order.
func Manifest(text string, lookup func(name string) (string, bool)) ([]byte, error) {
	var doc map[string]any
	decoder := json.NewDecoder(strings.NewReader(Expand(text, lookup)))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	delete(doc, "$schema-template")
	for path, module := range Modules(doc) {
		settings, _ := module["settings"].(map[string]any)
		if err := split(settings); err != nil {
			return nil, fmt.Errorf("template: module %s: %w", path, err)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return out.Bytes(), nil
}

// Modules returns the edge agent's modules, system modules among them, by name.
func Modules(doc map[string]any) map[string]map[string]any {
	found := map[string]map[string]any{}
	desired := Object(doc, "modulesContent", "$edgeAgent", "properties.desired")
	for _, group := range []string{"systemModules", "modules"} {
		for name := range Object(desired, group) {
			found[name] = Object(desired, group, name)
		}
	}
	return found
}

// Object walks down objects by their keys; nil where the way ends.
func Object(doc map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		doc, _ = doc[key].(map[string]any)
	}
	return doc
}

// Pieces returns create options as the edge agent gets them: text without
// superfluous space, cut into pieces. The error wraps ErrTooLong.
func Pieces(createOptions any) ([]string, error) {
	text, ok := createOptions.(string)
	if !ok {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(createOptions); err != nil {
			return nil, fmt.Errorf("create options: %w", err)
		}
		text = strings.TrimSpace(b.String())
	}
	var pieces []string
	for part := range slices.Chunk([]rune(text), chunk) {
		pieces = append(pieces, string(part))
	}
	if len(pieces) > maxChunks {
		return nil, fmt.Errorf("%w: %d characters", ErrTooLong, len(text))
	}
	return pieces, nil
}

func split(settings map[string]any) error {
	options, ok := settings["createOptions"]
	if !ok {
		return nil
	}
	pieces, err := Pieces(options)
	if err != nil {
		return err
	}
	for i, piece := range pieces {
		key := "createOptions"
		if i > 0 {
			key = fmt.Sprintf("createOptions%02d", i)
		}
		settings[key] = piece
	}
	return nil
}

// Images returns what ${MODULES.<folder>[.<platform>]} stands for, from the text of
// each folder's module.json. Without a platform it is the given one; ".debug"
// alone is its debug form.
func Images(platform string, modules map[string]string) (map[string]string, error) {
	images := map[string]string{}
	for _, folder := range slices.Sorted(maps.Keys(modules)) {
		var module struct {
			Image struct {
				Repository string `json:"repository"`
				Tag        struct {
					Version   string            `json:"version"`
					Platforms map[string]string `json:"platforms"`
				} `json:"tag"`
			} `json:"image"`
		}
		if err := json.Unmarshal([]byte(modules[folder]), &module); err != nil {
			return nil, fmt.Errorf("template: module.json of %s: %w", folder, err)
		}
		for p := range module.Image.Tag.Platforms {
			name := strings.ToLower(module.Image.Repository) + ":" + module.Image.Tag.Version + "-" + p
			images["MODULES."+folder+"."+p] = name
			switch p {
			case platform:
				images["MODULES."+folder] = name
			case platform + ".debug":
				images["MODULES."+folder+".debug"] = name
			}
		}
	}
	return images, nil
}
