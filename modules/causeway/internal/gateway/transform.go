package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
	"github.com/causeway-iot/causeway/modules/causeway/internal/transform"
)

// maxFile bounds a file that a transformation reads: far above a schema's own bound.
const maxFile = 1 << 20

// stages compiles a listener's transformations; nil for none.
func stages(setting json.RawMessage) (*transform.Chain, error) {
	return transform.Parse(setting, transform.Surroundings{
		Environment: os.LookupEnv, ReadFile: readBounded,
		Expression: func(text string) (transform.Expression, error) { return route.CompileExpression(text) },
	})
}

// Transform puts the stages of a setting, a listener's transform, around a codec, for
// whoever decodes without a listener. Faults are *codec.OptionError.
func Transform(setting json.RawMessage, inner codec.Codec) (codec.Codec, error) {
	chain, err := stages(setting)
	if err != nil {
		return nil, err
	}
	return chain.Wrap(inner), nil
}

// transformed puts the listener's stages around its codec; nil stays nil, for a codec
// that was refused.
func (g *Gateway) transformed(l config.Listener, c codec.Codec) (codec.Codec, error) {
	chain, err := stages(l.Transform)
	switch {
	case err != nil || chain == nil || c == nil:
		return c, err
	case chain.Frames() && l.Bind.Transport != "udp" && len(l.Frame) == 0:
		return c, codec.Optionf("/frames", "needs a frame of the listener: the codec cannot cut what it cannot read")
	default:
		return chain.Wrap(c), nil
	}
}

// readBounded reads a file whole.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}
