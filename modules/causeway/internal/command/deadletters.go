package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	lettersDefault = 20
	lettersMost    = 200 // a page ends earlier where the answer would grow too large
	replayDefault  = 100
	replayMost     = 1000
	// replayTime bounds a replay, since it waits for the hub; a direct method has 30 s
	// by default.
	replayTime = 25 * time.Second
)

// ErrReplaying says that another replay is running.
var ErrReplaying = errors.New("another replay is running")

// DeadLetters is what the methods about dead letters need.
type DeadLetters interface {
	// List is a page of letters after an id, JSON-encodable; of one listener, or of
	// all where it is empty.
	List(after uint64, limit int, listener string) (any, error)
	// Replay decodes and sends again, and reports. The error may be ErrReplaying.
	Replay(ctx context.Context, what Replay) (any, error)
}

// Replay says which letters are to be sent again: those of the ids, or else those of
// the listener, or else all, in ascending order.
type Replay struct {
	IDs      []uint64 `json:"ids"`
	Listener string   `json:"listener"`
	All      bool     `json:"all"`
	// After skips the letters up to this id: those that failed before.
	After uint64 `json:"after"`
	// Limit is the most letters to look at.
	Limit int `json:"limit"`
}

func (m *Methods) listDeadLetters(_ context.Context, payload json.RawMessage) Answer {
	in := struct {
		After    uint64 `json:"after"`
		Limit    int    `json:"limit"`
		Listener string `json:"listener"`
	}{Limit: lettersDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	if in.Limit < 1 || in.Limit > lettersMost {
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, lettersMost))
	}
	page, err := m.letters.List(in.After, in.Limit, in.Listener)
	if err != nil {
		return refuse(StatusUnavailable, err.Error())
	}
	return success(StatusOK, page)
}

func (m *Methods) replayDeadLetters(ctx context.Context, payload json.RawMessage) Answer {
	in := Replay{Limit: replayDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	given := 0
	for _, is := range []bool{len(in.IDs) > 0, in.Listener != "", in.All} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return refuse(StatusBadRequest, `give exactly one of ids, listener and "all": true`)
	case len(in.IDs) > replayMost:
		return refuse(StatusBadRequest, fmt.Sprintf("%d ids, allowed are %d", len(in.IDs), replayMost))
	case in.Limit < 1 || in.Limit > replayMost:
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, replayMost))
	}
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	report, err := m.letters.Replay(ctx, in)
	switch {
	case errors.Is(err, ErrReplaying):
		return refuse(StatusBusy, err.Error())
	case err != nil:
		return refuse(StatusUnavailable, err.Error())
	default:
		return success(StatusOK, report)
	}
}
