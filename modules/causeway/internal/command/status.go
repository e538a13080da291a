package command

import (
	"encoding/json"
	"errors"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Statuses of answers, with the meaning that HTTP gives them.
const (
	StatusOK          = 200
	StatusQueued      = 202
	StatusSent        = 202 // sent, and nothing confirms it; a command that is queued has an id
	StatusBadRequest  = 400
	StatusNotFound    = 404 // the device is not connected
	StatusExpired     = 408 // a queued command's time ran out
	StatusBusy        = 409 // the device has to answer an earlier command first
	StatusRefused     = 422 // the codec, or the device, refused the command; a program is refused
	StatusTooMany     = 429 // the queue is full
	StatusUnavailable = 503
	StatusNoReply     = 504 // no answer in time
)

// Answer is the end of a direct method or a command.
type Answer struct {
	Status  int
	Payload json.RawMessage
}

// refusal is the body of every answer that is not a success.
type refusal struct {
	Error string `json:"error"`
	// Known lists what would have been accepted, where that helps.
	Known []string `json:"known,omitempty"`
}

func refuse(status int, reason string, known ...string) Answer {
	return success(status, refusal{Error: reason, Known: known})
}

// success marshals v, which is one of this package's own types.
func success(status int, v any) Answer {
	b, err := json.Marshal(v)
	if err != nil {
		return Answer{Status: StatusUnavailable, Payload: json.RawMessage(`{"error":"answer cannot be encoded"}`)}
	}
	return Answer{Status: status, Payload: b}
}

// statusOf sorts the errors of a session and of its codec.
func statusOf(err error) int {
	switch {
	case errors.Is(err, codec.ErrBusy):
		return StatusBusy
	case errors.Is(err, codec.ErrUnknownCommand), errors.Is(err, codec.ErrBadCommand),
		errors.Is(err, errors.ErrUnsupported):
		return StatusRefused
	default:
		return StatusNoReply // time ran out, or the link ended: no answer will come
	}
}
