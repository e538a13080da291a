package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Identities is what the methods about them need.
type Identities interface {
	// Identities is a page of the devices that have an identity of their own, after an id, and
	// their number; those of a state, or all for an empty one.
	Identities(after string, limit int, state string) (page []any, total int)
	// DiscardMessages makes dead letters of what waits on disk for the hub to take the device,
	// and returns how many messages that were. The error is ErrInUse, or that of the disk.
	DiscardMessages(ctx context.Context, device string) (messages int, err error)
}

// ErrInUse says that the device is connected, or its messages are on their way.
var ErrInUse = errors.New("device in use")

// identityStates are the states that identities are listed by.
var identityStates = []string{"waiting", "attached", "refused", "quarantined"}

func (m *Methods) listIdentities(_ context.Context, payload json.RawMessage) Answer {
	in := struct {
		After string `json:"after"`
		Limit int    `json:"limit"`
		State string `json:"state"`
	}{Limit: pageDefault}
	if err := fields(payload, &in); err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	switch {
	case in.Limit < 1 || in.Limit > identityPageMost:
		return refuse(StatusBadRequest, fmt.Sprintf("limit is %d, allowed are 1 to %d", in.Limit, identityPageMost))
	case in.State != "" && !slices.Contains(identityStates, in.State):
		return refuse(StatusBadRequest, fmt.Sprintf("state is %q", in.State), identityStates...)
	}
	page, total := m.who.Identities(in.After, in.Limit, in.State)
	if page == nil {
		page = []any{}
	}
	return success(StatusOK, map[string]any{"identities": page, "total": total})
}

func (m *Methods) discardMessages(ctx context.Context, payload json.RawMessage) Answer {
	device, err := parseDevice(payload)
	if err != nil {
		return refuse(StatusBadRequest, err.Error())
	}
	n, err := m.who.DiscardMessages(ctx, device)
	switch {
	case errors.Is(err, ErrInUse):
		return refuse(StatusBusy, err.Error())
	case err != nil:
		return refuse(StatusUnavailable, fmt.Sprintf("after %d messages: %v", n, err))
	default:
		return success(StatusOK, map[string]any{"discarded": n})
	}
}
