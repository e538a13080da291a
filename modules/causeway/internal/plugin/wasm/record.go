package wasm

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// What goes in and out are records: a head of 32 bits, little-endian, with the tag in
// the low 8 bits and the length in the others, then that many bytes.
const (
	headSize = 4
	tagBits  = 8
)

// tag says what a record of an outcome is.
type tag byte

const (
	tagError         tag = 1  // kind (1 byte), text
	tagDevice        tag = 2  // of the identity
	tagSecret        tag = 3  //
	tagAccept        tag = 4  //
	tagRefuse        tag = 5  //
	tagReply         tag = 6  //
	tagAck           tag = 7  //
	tagNak           tag = 8  //
	tagClose         tag = 9  // reason
	tagMessage       tag = 16 // body; begins a message
	tagMessageDevice tag = 17 // of the last message, as all that follow
	tagContentType   tag = 18 //
	tagEncoding      tag = 19 //
	tagTime          tag = 20 // Unix time in nanoseconds, 64 bits
	tagProperty      tag = 21 // length of the name (1 byte), name, value
	tagJSON          tag = 22 // body; begins a message that is application/json, utf-8
	tagResult        tag = 32 // correlation; begins a result
	tagPayload       tag = 33 // of the last result: one JSON value
	tagRefusal       tag = 34 // of the last result: why the device refused
	tagFrame         tag = 48 // of a split: where it begins, its length, bytes to consume, 32 bits each
	tagSkip          tag = 49 // of a split: bytes to consume that are no frame, 32 bits
	tagExample       tag = 50 // length of the name (1 byte), name, text
)

// Records of what goes in.
const (
	tagListener    tag = 1
	tagTransport   tag = 2
	tagRemote      tag = 3
	tagCommonName  tag = 4
	tagTLSName     tag = 5
	tagFingerprint tag = 6

	tagCorrelation    tag = 1
	tagCommand        tag = 2
	tagCommandPayload tag = 3
)

// errNonsense is what a module returned that is no outcome.
var errNonsense = errors.New("not an outcome")

// errorKinds are the kinds of tagError, by number.
var errorKinds = map[byte]error{
	1: codec.ErrMalformed,
	2: codec.ErrProtocol,
	3: codec.ErrRefused,
	4: codec.ErrUnknownCommand,
	5: codec.ErrBadCommand,
	6: codec.ErrBusy,
	7: errors.ErrUnsupported,
	8: codec.ErrBroken,
}

// records iterates over records.
type records struct {
	rest []byte
	tag  tag
	data []byte
	err  error
}

func (r *records) next() bool {
	if len(r.rest) == 0 || r.err != nil {
		return false
	}
	if len(r.rest) < headSize {
		r.err = fmt.Errorf("%d bytes behind the last record: %w", len(r.rest), errNonsense)
		return false
	}
	head := binary.LittleEndian.Uint32(r.rest)
	r.tag = tag(head)
	n := int(head >> tagBits)
	if r.rest = r.rest[headSize:]; n > len(r.rest) {
		r.err = fmt.Errorf("a record with tag %d has %d bytes, %d are left: %w", r.tag, n, len(r.rest), errNonsense)
		return false
	}
	r.data, r.rest = r.rest[:n:n], r.rest[n:]
	return true
}

func appendRecord(b []byte, t tag, data string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(t)|uint32(len(data))<<tagBits)
	return append(b, data...)
}

// decoder reads outcomes. It keeps the strings that it has seen.
type decoder struct {
	limits  *Limits
	strings value.Strings
}

// outcome reads the records into the outcome, which may alias them. The error of the
// dialogue is failure; err is that of a module that returned no outcome.
func (d *decoder) outcome(b []byte, out *codec.Outcome) (failure, err error) {
	r := records{rest: b}
	for r.next() {
		switch {
		case r.tag == tagError && failure == nil:
			failure, err = dialogueError(r.data)
		case r.tag >= tagMessage && r.tag < tagResult:
			err = d.message(&r, out)
		case r.tag >= tagResult && r.tag < tagFrame:
			err = d.result(&r, out)
		default:
			err = d.answer(&r, out)
		}
		if err != nil {
			return nil, err
		}
	}
	return failure, r.err
}

// dialogueError reads a tagError.
func dialogueError(b []byte) (failure, err error) {
	const mostText = 1024
	if len(b) == 0 || errorKinds[b[0]] == nil {
		return nil, fmt.Errorf("an error of a kind that is not known, %.20x: %w", b, errNonsense)
	}
	text := b[1:]
	if len(text) == 0 {
		return errorKinds[b[0]], nil
	}
	return fmt.Errorf("%s: %w", text[:min(len(text), mostText)], errorKinds[b[0]]), nil
}

// answer reads what there is once: the identity and what is written.
func (d *decoder) answer(r *records, out *codec.Outcome) error {
	var text *string
	var bytes *[]byte
	switch r.tag {
	case tagDevice:
		text = &out.Identity.Device
	case tagSecret:
		text = &out.Identity.Secret
	case tagClose:
		text = &out.Close
	case tagAccept:
		bytes = &out.Identity.Accept
	case tagRefuse:
		bytes = &out.Identity.Refuse
	case tagReply:
		bytes = &out.Reply
	case tagAck:
		bytes = &out.Ack
	case tagNak:
		bytes = &out.Nak
	default:
		return fmt.Errorf("a record with tag %d does not belong here: %w", r.tag, errNonsense)
	}
	switch {
	case text != nil && *text == "":
		*text = d.strings.Of(r.data)
	case bytes != nil && *bytes == nil:
		*bytes = r.data
	default:
		return fmt.Errorf("a record with tag %d is there twice: %w", r.tag, errNonsense)
	}
	return nil
}

func (d *decoder) message(r *records, out *codec.Outcome) error {
	if r.tag == tagMessage || r.tag == tagJSON {
		if len(out.Messages) >= d.limits.Messages {
			return fmt.Errorf("more than %d messages: %w", d.limits.Messages, errNonsense)
		}
		m := out.Add()
		m.Body = r.data
		if r.tag == tagJSON {
			m.ContentType, m.ContentEncoding = "application/json", "utf-8"
		}
		return nil
	}
	if len(out.Messages) == 0 {
		return fmt.Errorf("a record with tag %d before the first message: %w", r.tag, errNonsense)
	}
	m := &out.Messages[len(out.Messages)-1]
	switch r.tag {
	case tagMessageDevice:
		m.Device = d.strings.Of(r.data)
	case tagContentType:
		m.ContentType = d.strings.Of(r.data)
	case tagEncoding:
		m.ContentEncoding = d.strings.Of(r.data)
	case tagTime:
		const size = 8
		if len(r.data) != size {
			return fmt.Errorf("a time of %d bytes: %w", len(r.data), errNonsense)
		}
		m.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(r.data))).UTC()
	case tagProperty:
		return d.property(r.data, m)
	default:
		return fmt.Errorf("a record with tag %d does not belong here: %w", r.tag, errNonsense)
	}
	return nil
}

// maxProperties is what the hub takes, about; it keeps the check for doubles cheap.
const maxProperties = 64

func (d *decoder) property(b []byte, m *codec.Message) error {
	name, text, ok := named(b)
	if !ok || len(name) == 0 {
		return fmt.Errorf("a property without a name: %w", errNonsense)
	}
	if len(m.Properties) >= maxProperties {
		return fmt.Errorf("more than %d properties: %w", maxProperties, errNonsense)
	}
	m.Set(d.strings.Of(name), d.strings.Of(text))
	return nil
}

// named splits the length of a name, the name, and the rest.
func named(b []byte) (name, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

func (d *decoder) result(r *records, out *codec.Outcome) error {
	if r.tag == tagResult {
		if len(out.Results) >= d.limits.Messages {
			return fmt.Errorf("more than %d results: %w", d.limits.Messages, errNonsense)
		}
		out.Results = append(out.Results, codec.Result{Correlation: string(r.data)})
		return nil
	}
	if len(out.Results) == 0 {
		return fmt.Errorf("a record with tag %d before the first result: %w", r.tag, errNonsense)
	}
	last := &out.Results[len(out.Results)-1]
	switch r.tag {
	case tagPayload:
		if !json.Valid(r.data) { // it becomes part of a JSON document
			return fmt.Errorf("a result's payload that is no JSON, %.40q: %w", r.data, errNonsense)
		}
		last.Payload = r.data
	case tagRefusal:
		last.Err = errors.New(string(r.data))
	default:
		return fmt.Errorf("a record with tag %d does not belong here: %w", r.tag, errNonsense)
	}
	return nil
}
