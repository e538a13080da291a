package transform

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxStages bounds the stages of each kind: more have no sense.
	maxStages = 8
	// defaultBytes bounds the output of decompression where the setting does not: the
	// default limit of a frame.
	defaultBytes = 64 << 10
	// mostBytes is the highest such bound: that of a frame.
	mostBytes = 16 << 20
	// maxBody bounds the bodies that the stages of bodies work on: the hub takes no
	// larger message.
	maxBody = 256 << 10
)

// Expression computes one member of a JSON object from a message.
type Expression interface {
	// Value returns a JSON-encodable value. Body is the message's body, decoded.
	Value(m *codec.Message, body any) (any, error)
}

// Surroundings are what a chain takes from outside.
type Surroundings struct {
	// Environment looks an environment variable up, ReadFile reads a file whole.
	Environment func(name string) (string, bool)
	ReadFile    func(path string) ([]byte, error)
	// Expression compiles the expression of a field.
	Expression func(text string) (Expression, error)
}

// Chain is the compiled setting of one listener. It is safe for concurrent use.
type Chain struct {
	frames []*frameStage
	bodies []bodyStage
}

// Frames tells whether frames are changed before the codec sees them. Then a codec
// cannot cut the stream itself.
func (c *Chain) Frames() bool { return len(c.frames) > 0 }

// setting is the form of the configuration.
type setting struct {
	Frames []stageSetting `json:"frames"`
	Bodies []stageSetting `json:"bodies"`
}

// stageSetting is one stage; which fields it may have depends on its type.
type stageSetting struct{ raw json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (s *stageSetting) UnmarshalJSON(raw []byte) error {
	s.raw = append(json.RawMessage(nil), raw...)
	return nil
}

// Parse compiles a setting, {"frames": [...], "bodies": [...]}. No setting, or one
// without stages, is a nil chain. Faults are [*codec.OptionError] with a pointer into
// the setting; keys and schemas that cannot be read are such faults too.
func Parse(raw json.RawMessage, with Surroundings) (*Chain, error) {
	var s setting
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	if len(s.Frames)+len(s.Bodies) == 0 {
		return nil, nil
	}
	c := &Chain{}
	for i, stage := range s.Frames {
		at := "/frames/" + strconv.Itoa(i)
		made, err := parseFrameStage(stage.raw, with)
		if err != nil {
			return nil, below(at, err)
		}
		c.frames = append(c.frames, made)
	}
	for i, stage := range s.Bodies {
		at := "/bodies/" + strconv.Itoa(i)
		made, err := parseBodyStage(stage.raw, with)
		if err != nil {
			return nil, below(at, err)
		}
		c.bodies = append(c.bodies, made)
	}
	for name, n := range map[string]int{"/frames": len(c.frames), "/bodies": len(c.bodies)} {
		if n > maxStages {
			return nil, codec.Optionf(name, "has %d stages, at most %d are allowed", n, maxStages)
		}
	}
	return c, nil
}

// below puts the place of a stage before that of its fault.
func below(at string, err error) error {
	if fault, ok := err.(*codec.OptionError); ok { //nolint:errorlint // never wrapped
		return codec.Optionf(at+fault.Pointer, "%s", fault.Reason)
	}
	return codec.Optionf(at, "%v", err)
}

// typeOf reads the type of a stage, before the fields that it allows are known.
func typeOf(raw json.RawMessage, allowed string) (string, error) {
	var head map[string]json.RawMessage
	if err := json.Unmarshal(raw, &head); err != nil || head == nil {
		return "", codec.Optionf("", "want an object with a type, one of %s", allowed)
	}
	var kind string
	if err := json.Unmarshal(head["type"], &kind); err != nil || kind == "" {
		return "", codec.Optionf("/type", "want one of %s", allowed)
	}
	return kind, nil
}

const frameTypes = "decrypt, decompress"

func parseFrameStage(raw json.RawMessage, with Surroundings) (*frameStage, error) {
	kind, err := typeOf(raw, frameTypes)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "decrypt":
		return parseDecrypt(raw, with)
	case "decompress":
		return parseDecompress(raw)
	default:
		return nil, codec.Optionf("/type", "got %q, want one of %s", kind, frameTypes)
	}
}

const bodyTypes = "decompress, decode, fields, compress"

func parseBodyStage(raw json.RawMessage, with Surroundings) (bodyStage, error) {
	kind, err := typeOf(raw, bodyTypes)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "decompress":
		return parseBodyDecompress(raw)
	case "decode":
		return parseDecode(raw, with)
	case "fields":
		return parseFields(raw, with)
	case "compress":
		return parseCompress(raw)
	default:
		return nil, codec.Optionf("/type", "got %q, want one of %s", kind, bodyTypes)
	}
}

// text is what a setting holds itself, or names a file of: exactly one.
type text struct {
	Text *string `json:"text"`
	File *string `json:"file"`
}

// read returns the text, bounded.
func (t *text) read(at string, with Surroundings, most int) ([]byte, error) {
	if (t.Text == nil) == (t.File == nil) {
		return nil, codec.Optionf(at, `want exactly one of {"text": "..."} and {"file": "/path"}`)
	}
	var data []byte
	if t.Text != nil {
		at, data = at+"/text", []byte(*t.Text)
	} else {
		at += "/file"
		if !slices.Contains([]string{".proto", ".avsc", ".json"}, path.Ext(*t.File)) {
			// Errors of schemas show parts of them; a file of keys must not come into them.
			return nil, codec.Optionf(at, "got %q, want a path that ends in .proto, .avsc or .json", *t.File)
		}
		var err error
		if data, err = with.ReadFile(*t.File); err != nil {
			return nil, codec.Optionf(at, "%v", err)
		}
	}
	if len(data) == 0 || len(data) > most {
		return nil, codec.Optionf(at, "has %d bytes, allowed are 1 to %d", len(data), most)
	}
	return data, nil
}

// malformed is the error of a stage for bytes that it cannot take.
func malformed(stage string, err error) error {
	return fmt.Errorf("transform: %s: %w: %w", stage, err, codec.ErrMalformed)
}
