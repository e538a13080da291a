package identity

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseJSONKeys reads {"<id>": "<key>", ...}. Errors never show keys.
func parseJSONKeys(data []byte) (map[string][]byte, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("want a JSON object of keys by device id")
	}
	keys := make(map[string][]byte)
	for n := 1; d.More(); n++ {
		id, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("member %d is not JSON", n)
		}
		name, _ := id.(string)
		value, err := d.Token()
		text, ok := value.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("member %d is not a text", n)
		}
		if err := addKey(keys, name, text); err != nil {
			return nil, fmt.Errorf("member %d: %w", n, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("the JSON object does not end")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the JSON object")
	}
	return keys, nil
}

// parseCSVKeys reads lines of id and key, after a line "deviceId,key" or without one.
// Errors never show keys.
func parseCSVKeys(data []byte) (map[string][]byte, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.FieldsPerRecord, r.Comment, r.TrimLeadingSpace, r.ReuseRecord = 2, 0, true, true
	keys := make(map[string][]byte)
	for first := true; ; first = false {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: want two fields, id and key", errorLine(err))
		}
		line, _ := r.FieldPos(0)
		id, key := strings.TrimSpace(record[0]), record[1]
		if first && strings.EqualFold(id, "deviceId") && strings.EqualFold(strings.TrimSpace(key), "key") {
			continue
		}
		if err := addKey(keys, id, key); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func errorLine(err error) int {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return e.Line
	}
	return 0
}

// addKey takes one device. Its errors do not even show the id: it is a key, where
// somebody has swapped the two.
func addKey(keys map[string][]byte, id, text string) error {
	if CheckID(id) != nil {
		return errors.New("this is no device id of IoT Hub")
	}
	key, err := decodeKey(text)
	if err != nil {
		return err
	}
	if _, twice := keys[fold(id)]; twice {
		return errors.New("the device is there already (case does not count)")
	}
	keys[fold(id)] = key
	return nil
}
