package command

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxDecoded bounds the bytes that one call decodes: what a twin's user pastes, and
// little enough that the answer fits a method's 128 KiB.
const maxDecoded = 16 << 10

// Decoder decodes bytes on request.
type Decoder interface {
	// Decode returns the outcome, JSON-encodable, also where the codec refuses the
	// bytes. The error says what is wrong with the request.
	Decode(r Decode) (any, error)
}

// Decode is the payload of the method decode: exactly one of Hex, Base64 and Text.
type Decode struct {
	// Codec is the name of a codec; Listener instead takes codec, options, framing and
	// transport from the configuration.
	Codec    string  `json:"codec"`
	Listener string  `json:"listener"`
	Hex      *string `json:"hex"`
	Base64   *string `json:"base64"`
	Text     *string `json:"text"`
	// Options are those of the codec, Frame a framing, Transport "tcp" (the default),
	// "tls" or "udp".
	Options   json.RawMessage `json:"options"`
	Frame     json.RawMessage `json:"frame"`
	Transport string          `json:"transport"`
	// Device is whose frame it is, where the codec knows that from a login.
	Device string `json:"deviceId"`
	// Bytes are what is to be decoded.
	Bytes []byte `json:"-"`
}

func (m *Methods) decode(_ context.Context, payload json.RawMessage) Answer {
	var in Decode
	err := fields(payload, &in)
	if err == nil {
		in.Bytes, err = given(in.Hex, in.Base64, in.Text)
	}
	switch {
	case err != nil:
		return refuse(StatusBadRequest, err.Error())
	case (in.Codec == "") == (in.Listener == ""):
		return refuse(StatusBadRequest, "give exactly one of codec and listener")
	case in.Listener != "" && (in.Options != nil || in.Frame != nil || in.Transport != ""):
		return refuse(StatusBadRequest, "options, frame and transport are those of the listener")
	case len(in.Bytes) > maxDecoded:
		return refuse(StatusBadRequest, fmt.Sprintf("%d bytes are given, at most %d", len(in.Bytes), maxDecoded))
	}
	outcome, err := m.decoder.Decode(in)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	return success(StatusOK, outcome)
}

// given is the one of the three that a caller gave.
func given(hexText, base64Text, text *string) ([]byte, error) {
	var b []byte
	var err error
	n := 0
	if hexText != nil {
		n++
		if b, err = hex.DecodeString(strings.ReplaceAll(*hexText, " ", "")); err != nil {
			return nil, fmt.Errorf("hex: %w", err)
		}
	}
	if base64Text != nil {
		n++
		if b, err = base64.StdEncoding.DecodeString(*base64Text); err != nil {
			return nil, fmt.Errorf("base64: %w", err)
		}
	}
	if text != nil {
		n++
		b = []byte(*text)
	}
	if n != 1 || len(b) == 0 {
		return nil, errors.New("give exactly one of hex, base64 and text, not empty")
	}
	return b, nil
}
