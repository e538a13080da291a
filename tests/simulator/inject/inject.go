// Package inject is the endpoint by which iotedgehubdev's users put messages before the
// module that they are debugging: POST /api/v1/messages, as Microsoft's testing utility
// has it. It stands for a module called input, which is all that there is besides the
// module under test, called target.
package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The modules of single-module mode, named as in iotedgehubdev.
const (
	Target = "target"
	Source = "input"
)

// maxBody bounds a request: a message of 256 KiB whose text needs six bytes a byte.
const maxBody = 2 << 20

// Hub is what the endpoint needs of the hub's core.
type Hub interface {
	InjectInput(module, input string, m edge.Message) error
}

// request is the body of a POST. Further fields are ignored.
type request struct {
	InputName     string  `json:"inputName"`
	Data          *string `json:"data"`
	MessageID     string  `json:"messageId"`
	CorrelationID string  `json:"correlationId"`
	UserID        string  `json:"userId"`
}

// Handler serves the endpoint for the named inputs of the target on the device.
func Handler(hub Hub, device string, inputs []string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/messages", func(w http.ResponseWriter, r *http.Request) {
		// The endpoint asks nobody who they are. Browsers name the page that sends, programs
		// do not: no page is to reach the module of whoever looks at it.
		if r.Header.Get("Origin") != "" {
			answer(w, http.StatusForbidden, "error", "requests of web pages are not taken")
			return
		}
		input, m, err := read(http.MaxBytesReader(w, r.Body, maxBody), inputs)
		if err != nil {
			answer(w, http.StatusNotFound, "error", err.Error())
			return
		}
		m.From = edge.Identity{Device: device, Module: Source}
		if err := hub.InjectInput(Target, input, m); err != nil {
			answer(w, http.StatusInternalServerError, "error", err.Error())
			return
		}
		answer(w, http.StatusAccepted, "message", "accepted")
	})
	return mux
}

// read returns the message and the input that it is for. The utility has no other status
// for a wrong request than 404.
func read(body io.Reader, inputs []string) (string, edge.Message, error) {
	var in request
	if err := json.NewDecoder(body).Decode(&in); err != nil {
		return "", edge.Message{}, fmt.Errorf("body: %w", err)
	}
	if in.Data == nil {
		return "", edge.Message{}, errors.New("data is missing, it must be a string")
	}
	if !slices.Contains(inputs, in.InputName) {
		return "", edge.Message{}, fmt.Errorf("inputName is %q, it must be one of: %s",
			in.InputName, strings.Join(inputs, ", "))
	}
	m := edge.Message{Body: []byte(*in.Data), System: map[string]string{}}
	for name, value := range map[string]string{"messageId": in.MessageID, "cid": in.CorrelationID, "userId": in.UserID} {
		if value != "" {
			m.System[name] = value
		}
	}
	return in.InputName, m, nil
}

func answer(w http.ResponseWriter, status int, field, text string) {
	body, _ := json.Marshal(map[string]string{field: text}) // strings always encode
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has gone needs no answer
}
