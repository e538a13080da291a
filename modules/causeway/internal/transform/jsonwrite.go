package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// jsonWriter writes what the decoders make as JSON.
type jsonWriter struct{ hex bool }

// append appends one document. Depth is bounded by the decoders.
func (w jsonWriter) append(dst []byte, v any) ([]byte, error) {
	plain, err := w.plain(v)
	if err != nil {
		return dst, err
	}
	return appendJSON(dst, plain)
}

// appendJSON appends a value that encoding/json can write.
func appendJSON(dst []byte, v any) ([]byte, error) {
	out := &appender{dst}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(out.b, []byte("\n")), nil
}

// plain makes a value that encoding/json can write: keys become strings, bytes text,
// numbers that JSON does not have null.
func (w jsonWriter) plain(v any) (any, error) {
	switch v := v.(type) {
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, member := range v {
			name, err := w.key(k)
			if err != nil {
				return nil, err
			}
			if _, twice := out[name]; twice {
				return nil, fmt.Errorf("key %.40q is there twice", name)
			}
			if out[name], err = w.plain(member); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		for k, member := range v {
			var err error
			if v[k], err = w.plain(member); err != nil {
				return nil, err
			}
		}
		return v, nil
	case []any:
		for i, member := range v {
			var err error
			if v[i], err = w.plain(member); err != nil {
				return nil, err
			}
		}
		return v, nil
	case cbor.Tag:
		return w.plain(v.Content)
	default:
		return w.scalar(v)
	}
}

func (w jsonWriter) scalar(v any) (any, error) {
	switch v := v.(type) {
	case []byte:
		return w.bytes(v), nil
	case cbor.ByteString:
		return w.bytes([]byte(v)), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("text %.40q is not UTF-8", v)
		}
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil
		}
		return v, nil
	case float32:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, nil
		}
		return v, nil
	case big.Int:
		return json.Number(v.String()), nil
	case *big.Int:
		return json.Number(v.String()), nil
	case *big.Rat:
		f, _ := v.Float64()
		return f, nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case time.Duration: // a time of the day, in Avro
		return v.Seconds(), nil
	case cbor.SimpleValue:
		return uint8(v), nil
	case nil, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return v, nil
	default:
		if array, ok := fixed(v); ok {
			return w.bytes(array), nil
		}
		return nil, fmt.Errorf("a value of type %T has no form in JSON", v)
	}
}

func (w jsonWriter) bytes(b []byte) string {
	if w.hex {
		return hex.EncodeToString(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// key is a key as the name of a member.
func (w jsonWriter) key(k any) (string, error) {
	switch k := k.(type) {
	case string:
		if utf8.ValidString(k) {
			return k, nil
		}
	case int64:
		return strconv.FormatInt(k, 10), nil
	case uint64:
		return strconv.FormatUint(k, 10), nil
	case int8, int16, int32, int, uint8, uint16, uint32, uint:
		return fmt.Sprint(k), nil
	case bool:
		return strconv.FormatBool(k), nil
	case cbor.ByteString:
		return w.bytes([]byte(k)), nil
	}
	return "", fmt.Errorf("key %.40v of type %T has no form in JSON", k, k)
}
