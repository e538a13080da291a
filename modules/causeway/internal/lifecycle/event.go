package lifecycle

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Kind is the kind of an event.
type Kind uint8

// The kinds of events.
const (
	// Connected: a link has come to speak for a device.
	Connected Kind = iota
	// Disconnected: that link has ended.
	Disconnected
	// Authenticated: a device has shown that it is who it says.
	Authenticated
	// Refused: a device was not let in.
	Refused
	// TakenOver: a second login with the id of a connected device; the older link is closed.
	TakenOver
	// Quarantined: a device is kept connected, and nothing of it is forwarded.
	Quarantined
	// CommandSent: a command is on its way to a device.
	CommandSent
	// CommandAnswered: the device has answered it.
	CommandAnswered
	// CommandExpired: no answer will come any more, or the command never left.
	CommandExpired
	// IdentityAttached: the hub serves a device under an identity of its own.
	IdentityAttached
	// IdentityDetached: it does so no longer.
	IdentityDetached
	// IdentityRefused: the hub does not take the device's identity.
	IdentityRefused

	kinds = iota
)

// Kinds lists all kinds.
func Kinds() []Kind {
	list := make([]Kind, kinds)
	for i := range list {
		list[i] = Kind(i) //nolint:gosec // a dozen
	}
	return list
}

// String is the kind's word in documents and in the property "kind".
func (k Kind) String() string {
	return [kinds]string{
		"connected", "disconnected", "authenticated", "refused", "takenOver", "quarantined", "commandSent",
		"commandAnswered", "commandExpired", "identityAttached", "identityDetached", "identityRefused",
	}[k]
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// SchemaVersion is that of the form of an event's body. A new member does not change it.
const SchemaVersion = "1.0"

// textLimit bounds the reason, and commandLimit the command, in bytes.
const (
	textLimit    = 512
	commandLimit = 64
)

// Event is one turn in the life of a device: plain data, of which nothing is secret.
// Members that do not apply are empty.
type Event struct {
	Kind Kind
	// At is when it happened; the zero time means now.
	At time.Time
	// Device is the device's id, as it claims it; empty where it is not known.
	Device string
	// Listener, Codec, Transport and Remote are those of the link.
	Listener, Codec, Transport, Remote string
	// Session is the epoch of the session.
	Session uint64
	// Reason is a few words.
	Reason string
	// Elsewhere: a device that was disconnected is connected by another link.
	Elsewhere bool
	// PreviousRemote is the address of the link that a device was on before.
	PreviousRemote string
	// Command is the name of a command; of a text with arguments its first word is told,
	// since what follows may be a password. CommandID is what callers know it by.
	Command, CommandID string
}

// body is the form of an event as JSON.
type body struct {
	SchemaVersion  string          `json:"schemaVersion"`
	Kind           Kind            `json:"kind"`
	At             time.Time       `json:"at"`
	Device         string          `json:"deviceId,omitempty"`
	Listener       string          `json:"listener,omitempty"`
	Codec          string          `json:"codec,omitempty"`
	Transport      string          `json:"transport,omitempty"`
	Remote         string          `json:"remote,omitempty"`
	Session        string          `json:"session,omitempty"`
	Reason         string          `json:"reason,omitempty"`
	Elsewhere      bool            `json:"elsewhere,omitempty"`
	PreviousRemote string          `json:"previousRemote,omitempty"`
	Command        string          `json:"command,omitempty"`
	CommandID      string          `json:"commandId,omitempty"`
	Dropped        map[Kind]uint64 `json:"dropped,omitempty"`
}

// encode is the body of an event that tells besides how many were dropped before it.
func (e *Event) encode(session string, dropped map[Kind]uint64) ([]byte, error) {
	b, err := json.Marshal(body{
		SchemaVersion: SchemaVersion, Kind: e.Kind, At: e.At.UTC().Truncate(time.Millisecond), Device: e.Device,
		Listener: e.Listener, Codec: e.Codec, Transport: e.Transport, Remote: e.Remote, Session: session,
		Reason: cut(e.Reason, textLimit), Elsewhere: e.Elsewhere, PreviousRemote: e.PreviousRemote,
		Command: cut(firstWord(e.Command), commandLimit), CommandID: e.CommandID, Dropped: dropped,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Kind, err)
	}
	return b, nil
}

// firstWord is the beginning of a text up to the first character that no name has.
func firstWord(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-' && r != '.'
	})
	if end >= 0 {
		return text[:end]
	}
	return text
}

func cut(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}
