package command

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Codecs are the codecs that are not built in.
type Codecs interface {
	// PutCodec takes a part of a program and returns how many are missing.
	PutCodec(ctx context.Context, p Part) (missing int, err error)
	// ReloadCodecs reads the sources of all programs again and describes what is in force
	// then, JSON-encodable.
	ReloadCodecs(ctx context.Context) (any, error)
}

// Part is a piece of a program.
type Part struct {
	// SHA256 is that of the whole program, in lower-case hexadecimal.
	SHA256 string
	// Number counts from 1 to Of.
	Number, Of int
	Bytes      []byte
}

func (m *Methods) putCodec(ctx context.Context, payload json.RawMessage) Answer {
	in := struct {
		SHA256 string  `json:"sha256"`
		Part   int     `json:"part"`
		Parts  int     `json:"parts"`
		Base64 *string `json:"base64"`
		Text   *string `json:"text"`
	}{Part: 1, Parts: 1}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	p := Part{SHA256: in.SHA256, Number: in.Part, Of: in.Parts}
	switch {
	case (in.Base64 == nil) == (in.Text == nil):
		return refuse(StatusBadRequest, "give exactly one of base64 and text")
	case in.Text != nil:
		p.Bytes = []byte(*in.Text)
	default:
		var err error
		if p.Bytes, err = base64.StdEncoding.DecodeString(*in.Base64); err != nil {
			return refuse(StatusBadRequest, fmt.Sprintf("base64: %v", err))
		}
	}
	missing, err := m.codecs.PutCodec(ctx, p)
	if err != nil {
		return refuse(StatusRefused, err.Error())
	}
	return success(StatusOK, map[string]any{"missing": missing, "stored": missing == 0})
}

func (m *Methods) reloadCodecs(ctx context.Context, payload json.RawMessage) Answer {
	if err := fields(payload, &struct{}{}); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	state, err := m.codecs.ReloadCodecs(ctx)
	if err != nil {
		return refuse(StatusRefused, err.Error())
	}
	return success(StatusOK, map[string]any{"codecs": state})
}
