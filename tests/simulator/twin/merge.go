package twin

import (
	"reflect"
)

// Merge changes doc by a merge-patch: objects merge, null deletes, everything else
// replaces. The patch is copied, so that it may be used again.
func Merge(doc, patch map[string]any) { merge(doc, patch, false) }

// Accumulate merges a patch into a patch that is still to be sent: a null stays, so
// that the deletion reaches the cloud later.
func Accumulate(pending, patch map[string]any) { merge(pending, patch, true) }

func merge(doc, patch map[string]any, keepNull bool) {
	for key, value := range patch {
		switch v := value.(type) {
		case nil:
			if keepNull {
				doc[key] = nil
			} else {
				delete(doc, key)
			}
		case map[string]any:
			object, ok := doc[key].(map[string]any)
			if !ok {
				object = map[string]any{}
				doc[key] = object
			}
			merge(object, v, keepNull)
		default:
			doc[key] = Clone(value)
		}
	}
}

// Diff returns the merge-patch that turns from into to: nil for removed names. It is
// empty when both are equal.
func Diff(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for key, old := range from {
		now, ok := to[key]
		if !ok {
			patch[key] = nil
			continue
		}
		oldObject, wasObject := old.(map[string]any)
		nowObject, isObject := now.(map[string]any)
		if wasObject && isObject {
			if inner := Diff(oldObject, nowObject); len(inner) > 0 {
				patch[key] = inner
			}
			continue
		}
		if !reflect.DeepEqual(old, now) {
			patch[key] = Clone(now)
		}
	}
	for key, now := range to {
		if _, ok := from[key]; !ok {
			patch[key] = Clone(now)
		}
	}
	return patch
}

// Clone copies a decoded JSON value.
func Clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, inner := range v {
			object[key] = Clone(inner)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, inner := range v {
			list[i] = Clone(inner)
		}
		return list
	default:
		return value
	}
}
