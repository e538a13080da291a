package transform

import (
	"errors"
	"fmt"

	"github.com/hamba/avro/v2"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// newAvro makes JSON of Avro's binary encoding of a value of the schema.
func newAvro(schema []byte, write jsonWriter) (func(dst, data []byte) ([]byte, error), error) {
	parsed, err := avro.ParseBytesWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		return nil, codec.Optionf("/schema", "%v", err)
	}
	left := maxAvroTypes
	if err := finite(parsed, nil, &left); err != nil {
		return nil, codec.Optionf("/schema", "%v", err)
	}
	api := avro.Config{MaxByteSliceSize: maxBody, MaxSliceAllocSize: maxBody}.Freeze()
	return func(dst, data []byte) ([]byte, error) {
		var v any
		r := avro.NewReader(nil, 0, avro.WithReaderConfig(api)).Reset(data)
		r.ReadVal(parsed, &v) // Unmarshal would take data that is cut off
		if r.Error != nil {
			return dst, r.Error
		}
		var more [1]byte
		if r.Read(more[:]); r.Error == nil {
			return dst, errors.New("more follows the data")
		}
		return write.append(dst, v)
	}, nil
}

// maxAvroTypes bounds the types of a schema in which every name is written out: that
// many values stand in a message of any size.
const maxAvroTypes = 4096

// errEmptyItems: an array of a type that takes no bytes has any length for free.
var errEmptyItems = errors.New("items of arrays must take bytes")

// finite refuses schemas by which a few bytes become endless data: types within
// themselves, nested as deep as the data says, and items that take no bytes.
func finite(s avro.Schema, above []string, left *int) error {
	if *left--; *left < 0 {
		return fmt.Errorf("written out it has more than %d types", maxAvroTypes)
	}
	if len(above) > maxDepth {
		return errDeep
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		for _, name := range above {
			if name == s.Schema().FullName() {
				return fmt.Errorf("type %s within itself is not supported", name)
			}
		}
		return finite(s.Schema(), above, left)
	case *avro.RecordSchema:
		above = append(above[:len(above):len(above)], s.FullName())
		for _, f := range s.Fields() {
			if err := finite(f.Type(), above, left); err != nil {
				return err
			}
		}
	case *avro.ArraySchema:
		if empty(s.Items()) {
			return errEmptyItems
		}
		return finite(s.Items(), append(above[:len(above):len(above)], "[]"), left)
	case *avro.MapSchema:
		return finite(s.Values(), append(above[:len(above):len(above)], "{}"), left)
	case *avro.UnionSchema:
		for _, one := range s.Types() {
			if err := finite(one, above, left); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty tells whether a value of the type can take no bytes at all.
func empty(s avro.Schema) bool {
	switch s := s.(type) {
	case *avro.NullSchema:
		return true
	case *avro.RefSchema:
		return empty(s.Schema())
	case *avro.FixedSchema:
		return s.Size() == 0
	case *avro.RecordSchema:
		for _, f := range s.Fields() {
			if !empty(f.Type()) {
				return false
			}
		}
		return true
	}
	return false
}
