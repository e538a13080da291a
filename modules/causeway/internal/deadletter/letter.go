package deadletter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// Kind says why there is a letter.
type Kind string

// The kinds of letters.
const (
	// Malformed: the codec of the listener could not decode a frame.
	Malformed Kind = "malformed"
	// Refused: the hub, or its size limit, refuses a message for good.
	Refused Kind = "refused"
)

// reasonLimit bounds the reason in bytes: the first lines of a panic's stack fit.
const reasonLimit = 1024

// Letter is what could not be passed on, and why.
type Letter struct {
	// ID is given by Ring.Add: distinct, ascending, and below 2^53, since it is the
	// microsecond of the letter or the next that was free.
	ID     uint64    `json:"-"`
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Reason string    `json:"reason"`
	// Listener, Codec and CodecVersion are those that the bytes came by.
	Listener     string `json:"listener"`
	Codec        string `json:"codec"`
	CodecVersion string `json:"codecVersion"`
	// Transport and Remote are those of the link, empty when it is not known.
	Transport string `json:"transport,omitempty"`
	Remote    string `json:"remote,omitempty"`
	// Device is empty when it is not known.
	Device string `json:"device,omitempty"`
	// Uncut: Body is a piece of the stream of which no frame could be cut.
	Uncut bool `json:"uncut,omitempty"`
	// Message is what a refused message had besides its body and device; nil
	// otherwise.
	Message *Envelope `json:"message,omitempty"`
	// Body is the frame, or the refused message's body.
	Body []byte `json:"-"`
}

// Envelope is the rest of a refused message.
type Envelope struct {
	Epoch           uint64             `json:"epoch"`
	Seq             uint64             `json:"seq"`
	Output          string             `json:"output"`
	ContentType     string             `json:"contentType,omitempty"`
	ContentEncoding string             `json:"contentEncoding,omitempty"`
	Created         time.Time          `json:"created"`
	Properties      []message.Property `json:"properties,omitempty"`
}

// OfMessage is a letter about a refused message. Body and properties are those of
// the message, borrowed as it is.
func OfMessage(m *message.Message, reason error) Letter {
	return Letter{
		Kind: Refused, Reason: reason.Error(), Listener: m.Listener, Codec: m.Codec, Device: m.Device, Body: m.Body,
		Message: &Envelope{
			Epoch: m.Epoch, Seq: m.Seq, Output: m.Output, ContentType: m.ContentType,
			ContentEncoding: m.ContentEncoding, Created: m.Created, Properties: m.Properties,
		},
	}
}

// Resend is the refused message as it was; false for other letters. Without a
// device it is the listener's.
func (l *Letter) Resend() (message.Message, bool) {
	e := l.Message
	if e == nil {
		return message.Message{}, false
	}
	device := l.Device
	if device == "" {
		device = l.Listener
	}
	return message.Message{
		Device: device, Listener: l.Listener, Codec: l.Codec, Output: e.Output, Epoch: e.Epoch, Seq: e.Seq,
		Body: l.Body, ContentType: e.ContentType, ContentEncoding: e.ContentEncoding, Created: e.Created,
		Properties: e.Properties,
	}, true
}

// encode is the form on disk: the length of the head, the head as JSON, the body.
func (l *Letter) encode() ([]byte, error) {
	head, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode dead letter: %w", err)
	}
	b := make([]byte, 0, binary.MaxVarintLen64+len(head)+len(l.Body))
	b = binary.AppendUvarint(b, uint64(len(head)))
	return append(append(b, head...), l.Body...), nil
}

// errLetter: the bytes are no letter.
var errLetter = errors.New("not a dead letter")

// decode reads encode's form; Body lies in b.
func decode(id uint64, b []byte) (*Letter, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, errLetter
	}
	head, body := b[used:used+int(n)], b[used+int(n):] //nolint:gosec // at most len(b)
	l := &Letter{ID: id}
	if err := json.Unmarshal(head, l); err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	l.Body = body
	return l, nil
}

// settle brings a letter into the form that can be stored.
func (l *Letter) settle() {
	l.Reason = cut(l.Reason, reasonLimit)
	l.Time = l.Time.UTC()
	// JSON has years of four digits; a device may send any.
	if e := l.Message; e != nil && (e.Created.UTC().Year() < 0 || e.Created.UTC().Year() > 9999) {
		e.Created = time.Time{}
	}
}

func cut(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}
