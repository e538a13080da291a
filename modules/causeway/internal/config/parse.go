package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxDocument bounds a document in bytes. The twin allows 32 KiB; a bootstrap file
// may list many more devices.
const MaxDocument = 1 << 20

// Parse decodes desired properties as the hub sends them, or a bootstrap file.
// $version and $metadata at the top are ignored, null members are absent ones.
// Either the document is complete and valid, or it is nil and the faults say what
// is wrong: at least one, at most MaxFaults, in order of their pointers.
func Parse(desired []byte) (*Document, []Fault) {
	tree, err := decodeObject(desired)
	if err != nil {
		return nil, []Fault{{Message: err.Error()}}
	}
	delete(tree, "$version")
	delete(tree, "$metadata")
	dropNulls(tree)
	if faults := numberFaults(tree, nil, nil); faults != nil {
		return nil, SortFaults(faults)
	}
	s, err := loadSchema()
	if err != nil {
		return nil, []Fault{{Message: "the schema cannot be read: " + err.Error()}}
	}
	if faults := s.validate(tree); faults != nil {
		return nil, SortFaults(faults)
	}
	s.complete(s.root, tree)
	if faults := textFaults(tree); faults != nil {
		return nil, SortFaults(faults)
	}
	doc := new(Document)
	if err := json.Unmarshal(encode(tree), doc); err != nil {
		return nil, []Fault{{Message: err.Error()}}
	}
	doc.settle()
	if faults := doc.faults(); faults != nil {
		return nil, SortFaults(faults)
	}
	return doc, nil
}

// DefaultDocument is the document of the first run, when neither the twin nor a
// file nor the last good one says anything: lines of text over TCP port 5000.
func DefaultDocument() []byte {
	return []byte(`{
  "schemaVersion": "1.0",
  "listeners": {
    "lines": {
      "bind": "tcp://0.0.0.0:5000",
      "codec": "raw",
      "frame": {"type": "line"},
      "device": "lines"
    }
  }
}
`)
}

// decodeObject keeps numbers as they are written.
func decodeObject(data []byte) (map[string]any, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("has %d bytes, must have at most %d", len(data), MaxDocument)
	}
	value, err := decode(data)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("is %s, must be a JSON object", kindOf(value))
	}
	return object, nil
}

func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("is not JSON: more follows the first value")
	}
	return value, nil
}

// encode writes a decoded value in canonical form. It cannot fail: the value came
// from decode.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func dropNulls(object map[string]any) {
	for key, value := range object {
		switch value := value.(type) {
		case nil:
			delete(object, key)
		case map[string]any:
			dropNulls(value)
		}
	}
}

// maxDigits and maxExponent bound a number before the validator turns it into a
// rational: 1e999999999 would take all memory. 308 is the range of a float64.
const (
	maxDigits   = 400
	maxExponent = 308
)

func numberFaults(value any, path []string, faults []Fault) []Fault {
	switch value := value.(type) {
	case json.Number:
		if !boundedNumber(string(value)) {
			faults = append(faults, Fault{Pointer(path...), fmt.Sprintf(
				"is %s, must be a number within the range of a float64", short(string(value)))})
		}
	case map[string]any:
		for key, member := range value {
			faults = numberFaults(member, append(path, key), faults)
		}
	case []any:
		for i, member := range value {
			faults = numberFaults(member, append(path, strconv.Itoa(i)), faults)
		}
	}
	return faults
}

func boundedNumber(text string) bool {
	if len(text) > maxDigits {
		return false
	}
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(text[at+1:])
	return err == nil && exponent >= -maxExponent && exponent <= maxExponent
}

// kindOf names the JSON type of a decoded value, with its article.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
