package config

import "fmt"

// MergePatch applies a JSON merge patch (RFC 7396) as the hub sends changes of the
// desired properties: objects merge, null deletes, everything else replaces.
// Numbers stay as they are written; keys come out sorted.
func MergePatch(doc, patch []byte) ([]byte, error) {
	target, err := decode(doc)
	if err != nil {
		return nil, fmt.Errorf("config: document %w", err)
	}
	change, err := decode(patch)
	if err != nil {
		return nil, fmt.Errorf("config: patch %w", err)
	}
	return encode(merge(target, change)), nil
}

func merge(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any, len(change))
	}
	for key, value := range change {
		if value == nil {
			delete(object, key)
		} else {
			object[key] = merge(object[key], value)
		}
	}
	return object
}
