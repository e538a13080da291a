package transform

import (
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxDepth bounds the nesting of what is decoded: deeper data is an attack.
	maxDepth = 32
	// maxSchema bounds the text of a schema.
	maxSchema = 256 << 10
	// maxSkip bounds the bytes before the data, a header.
	maxSkip = 256

	formats = "cbor, msgpack, protobuf, avro"
)

// decode is the stage that makes JSON of a binary format. What is JSON already passes.
type decode struct {
	format string
	skip   int
	// json appends the data as one JSON document.
	json func(dst, data []byte) ([]byte, error)
}

// decodeSetting is the form of the configuration.
type decodeSetting struct {
	Type   string `json:"type"`
	Format string `json:"format"`
	// Skip is how many bytes stand before the data.
	Skip int `json:"skip"`
	// Schema and Message are for protobuf, Schema for avro.
	Schema  *text  `json:"schema"`
	Message string `json:"message"`
	// Bytes is how byte strings are written: "base64" or "hex".
	Bytes string `json:"bytes"`
}

func parseDecode(raw json.RawMessage, with Surroundings) (bodyStage, error) {
	s := decodeSetting{Bytes: "base64"}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	if s.Skip < 0 || s.Skip > maxSkip {
		return nil, codec.Optionf("/skip", "got %d, allowed are 0 to %d", s.Skip, maxSkip)
	}
	if s.Bytes != "base64" && s.Bytes != "hex" {
		return nil, codec.Optionf("/bytes", "got %q, want base64 or hex", s.Bytes)
	}
	d := &decode{format: s.Format, skip: s.Skip}
	schema, err := s.schema(with)
	if err != nil {
		return nil, err
	}
	write := jsonWriter{hex: s.Bytes == "hex"}
	switch s.Format {
	case "cbor":
		d.json, err = newCBOR(write)
	case "msgpack":
		d.json = newMsgpack(write)
	case "protobuf":
		if s.Bytes == "hex" {
			return nil, codec.Optionf("/bytes", "protobuf writes bytes as base64")
		}
		d.json, err = newProtobuf(schema, s.Message)
	case "avro":
		d.json, err = newAvro(schema, write)
	default:
		return nil, codec.Optionf("/format", "got %q, want one of %s", s.Format, formats)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// schema reads the schema of a format that has one, and refuses it elsewhere.
func (s *decodeSetting) schema(with Surroundings) ([]byte, error) {
	has := s.Format == "protobuf" || s.Format == "avro"
	switch {
	case has && s.Schema == nil:
		return nil, codec.Optionf("/schema", "is missing, %s needs one", s.Format)
	case !has && s.Schema != nil:
		return nil, codec.Optionf("/schema", "is for protobuf and avro")
	case s.Format != "protobuf" && s.Message != "":
		return nil, codec.Optionf("/message", "is for protobuf")
	case !has:
		return nil, nil
	}
	return s.Schema.read("/schema", with, maxSchema)
}

func (d *decode) String() string { return d.format }

func (d *decode) takes(m *codec.Message) bool { return m.ContentType != jsonType }

func (d *decode) change(dst []byte, m *codec.Message) (out []byte, err error) {
	if len(m.Body) < d.skip {
		return dst, fmt.Errorf("%d bytes, fewer than the %d to skip", len(m.Body), d.skip)
	}
	defer func() { // these libraries read what devices sent; a panic costs the frame
		if v := recover(); v != nil {
			out, err = dst, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	return d.json(dst, m.Body[d.skip:])
}

func (d *decode) mark(m *codec.Message) { m.ContentType, m.ContentEncoding = jsonType, "utf-8" }

const jsonType = "application/json"
