package acme

import (
	"fmt"
	"strconv"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Explain implements codec.Explainer.
func (*link) Explain(frame []byte) []codec.Field {
	kind, body, err := open(frame)
	if err != nil {
		return nil
	}
	names := map[byte]string{login: "login", data: "data", heartbeat: "heartbeat", answered: "answer"}
	fields := []codec.Field{
		{Offset: 0, Len: 2, Name: "length", Value: strconv.Itoa(len(frame) - 2)},
		{Offset: 2, Len: 1, Name: "type", Value: names[kind]},
	}
	if len(body) > 0 {
		fields = append(fields, codec.Field{Offset: head, Len: len(body), Name: "body"})
	}
	last := len(frame) - 1
	return append(fields, codec.Field{Offset: last, Len: 1, Name: "checksum", Value: fmt.Sprintf("%#02x", frame[last])})
}
