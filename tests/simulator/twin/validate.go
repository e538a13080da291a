package twin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// The limits that the edge hub's validator applies to a patch.
const (
	// MaxPatchBytes bounds the whole patch; the same bound holds for the merged
	// properties in the cloud.
	MaxPatchBytes = 32768
	// MaxDepth bounds nesting; the outermost object is level 1, arrays count.
	MaxDepth = 10
	// MaxKeyBytes bounds one property name in UTF-8.
	MaxKeyBytes = 1024
	// MaxValueBytes bounds one string, or a number that is not an integer, as text.
	MaxValueBytes = 4096
	maxInteger    = 1<<52 - 1
	minInteger    = -1 << 52
)

// ErrInvalid is what every refused patch wraps; clients see it as status 400.
var ErrInvalid = errors.New("invalid twin properties")

// Decode reads one JSON object. Anything else, and text after it, is an error that
// does not wrap ErrInvalid: the real hub answers malformed JSON with 500.
func Decode(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("twin properties must be a JSON object: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("twin properties must be one JSON object: more text follows it")
	}
	if doc == nil {
		return nil, errors.New("twin properties must be a JSON object: got null")
	}
	return doc, nil
}

// Validate judges a patch of the given encoded size. The error wraps ErrInvalid and
// names the path and the rule.
func Validate(patch map[string]any, size int) error {
	if size > MaxPatchBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrInvalid, size, MaxPatchBytes)
	}
	return checkObject(patch, "", 1, false)
}

func checkObject(object map[string]any, path string, depth int, inArray bool) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: %s is nested %d levels deep, at most %d are allowed", ErrInvalid, path, depth, MaxDepth)
	}
	for key, value := range object {
		if err := checkKey(key, path); err != nil {
			return err
		}
		if err := checkValue(value, path+"/"+key, depth, inArray); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(key, path string) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: a name under %q is %d bytes long, at most %d are allowed",
			ErrInvalid, path, len(key), MaxKeyBytes)
	}
	for _, r := range key {
		if r == '.' || r == '$' || r == '#' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return fmt.Errorf("%w: name %q under %q holds %q, which is not allowed", ErrInvalid, key, path, r)
		}
	}
	return nil
}

func checkValue(value any, path string, depth int, inArray bool) error {
	switch v := value.(type) {
	case nil:
		if inArray {
			return fmt.Errorf("%w: %s is null inside an array", ErrInvalid, path)
		}
	case bool:
	case string:
		if len(v) > MaxValueBytes {
			return fmt.Errorf("%w: %s is %d bytes long, at most %d are allowed", ErrInvalid, path, len(v), MaxValueBytes)
		}
		if !utf8.ValidString(v) {
			return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, path)
		}
	case json.Number:
		return checkNumber(v, path)
	case map[string]any:
		return checkObject(v, path, depth+1, inArray)
	case []any:
		if depth+1 > MaxDepth {
			return fmt.Errorf("%w: %s is nested %d levels deep, at most %d are allowed", ErrInvalid, path, depth+1, MaxDepth)
		}
		for i, item := range v {
			if err := checkValue(item, path+"/"+strconv.Itoa(i), depth+1, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkNumber(n json.Number, path string) error {
	text := n.String()
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		if i < minInteger || i > maxInteger {
			return fmt.Errorf("%w: %s is %s, integers must lie within %d and %d",
				ErrInvalid, path, text, int64(minInteger), int64(maxInteger))
		}
		return nil
	} else if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%w: %s is out of the integer range", ErrInvalid, path)
	}
	if len(text) > MaxValueBytes {
		return fmt.Errorf("%w: %s is %d bytes long, at most %d are allowed", ErrInvalid, path, len(text), MaxValueBytes)
	}
	return nil
}
