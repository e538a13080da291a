// Package raw passes frames on as they are: each frame becomes one message.
package raw

import (
	"encoding/json"
	"mime"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// New makes the codec; it is a codec.Factory.
func New(options json.RawMessage) (codec.Codec, error) {
	o := struct {
		ContentType     string            `json:"contentType"`
		ContentEncoding string            `json:"contentEncoding"`
		Ack             codec.OptionBytes `json:"ack"`
		Nak             codec.OptionBytes `json:"nak"`
	}{ContentType: "application/octet-stream"}
	if err := codec.DecodeOptions(options, &o); err != nil {
		return nil, err
	}
	if _, _, err := mime.ParseMediaType(o.ContentType); err != nil {
		return nil, codec.Optionf("/contentType", "got %q, want a media type such as text/plain", o.ContentType)
	}
	return codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		if len(f.Bytes) == 0 {
			return nil // an empty line or datagram only keeps the link alive
		}
		m := out.Add()
		m.Body, m.ContentType, m.ContentEncoding = f.Bytes, o.ContentType, o.ContentEncoding
		out.Ack, out.Nak = o.Ack, o.Nak
		return nil
	}), nil
}
