package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

const (
	// maxMessages bounds the messages of one outcome, which travel in one batch.
	maxMessages = 1024
	// maxText bounds what a plugin says about a failure, which is logged.
	maxText = 4096
)

// outcome carries out a step that leads to an outcome. What it puts into out is
// memory of this answer, which nothing writes to again.
func (d *dialogue) outcome(step *codecv1.Step, size int, patience time.Duration, out *codec.Outcome) error {
	answer, err := d.call(step, size, patience)
	if err != nil {
		return err
	}
	o := answer.GetOutcome()
	if o == nil && answer.GetFailure() == nil {
		return d.wrong("no outcome in answer to %T", step.GetKind())
	}
	if err := fill(out, o); err != nil {
		out.Reset()
		return d.wrong("%v", err)
	}
	if f := answer.GetFailure(); f != nil {
		return failed(f)
	}
	return nil
}

// fill puts an outcome from the wire into out. An error says what is wrong with it.
func fill(out *codec.Outcome, o *codecv1.Outcome) error {
	if id := o.GetIdentity(); id != nil {
		out.Identity = codec.Identity{
			Device: id.GetDevice(), Secret: id.GetSecret(), Accept: id.GetAccept(), Refuse: id.GetRefuse(),
		}
	}
	if n := len(o.GetMessages()); n > maxMessages {
		return fmt.Errorf("%d messages, at most %d are allowed", n, maxMessages)
	}
	for i, m := range o.GetMessages() {
		if err := fillMessage(out.Add(), m); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	for _, r := range o.GetResults() {
		if p := r.GetPayload(); len(p) > 0 && !json.Valid(p) {
			return fmt.Errorf("the result's payload is not JSON: %.40q", p)
		}
		result := codec.Result{Correlation: r.GetCorrelation(), Payload: r.GetPayload()}
		if text := r.GetError(); text != "" {
			result.Err = errors.New(text)
		}
		out.Results = append(out.Results, result)
	}
	out.Reply, out.Ack, out.Nak, out.Close = o.GetReply(), o.GetAck(), o.GetNak(), o.GetClose()
	return nil
}

func fillMessage(to *codec.Message, m *codecv1.Message) error {
	to.Body, to.Device = m.GetBody(), m.GetDevice()
	to.ContentType, to.ContentEncoding = m.GetContentType(), m.GetContentEncoding()
	if to.ContentType == "application/json" {
		if to.ContentEncoding != "utf-8" {
			return fmt.Errorf("JSON with the encoding %q, want utf-8", to.ContentEncoding)
		}
		if !utf8.Valid(to.Body) || !json.Valid(to.Body) {
			return fmt.Errorf("not JSON: %.40q", to.Body)
		}
	}
	if t := m.GetTime(); t != nil {
		if err := t.CheckValid(); err != nil {
			return err
		}
		to.Time = t.AsTime()
	}
	for _, p := range m.GetProperties() {
		for _, q := range to.Properties {
			if strings.EqualFold(q.Name, p.GetName()) {
				return fmt.Errorf("the property %q is set twice", p.GetName())
			}
		}
		to.Set(p.GetName(), p.GetValue())
	}
	return nil
}

// cut checks a cut and takes the frame out of the data.
func cut(c *codecv1.Cut, data []byte) (advance int, frame []byte, ok bool) {
	advance = int(c.GetAdvance())
	if advance > len(data) {
		return 0, nil, false
	}
	switch f := c.GetFrame().(type) {
	case nil:
		return advance, nil, true
	case *codecv1.Cut_At:
		from, to := int64(f.At.GetOffset()), int64(f.At.GetOffset())+int64(f.At.GetLength())
		if to > int64(advance) || advance == 0 {
			return 0, nil, false
		}
		return advance, data[from:to:to], true
	case *codecv1.Cut_Unescaped:
		return advance, append([]byte{}, f.Unescaped...), advance > 0
	default:
		return 0, nil, false
	}
}

// fields takes what lies in the frame, in order, and leaves out the rest.
func fields(e *codecv1.Explanation, size int) (list []codec.Field) {
	from := 0
	for _, f := range e.GetFields() {
		offset, length := int64(f.GetAt().GetOffset()), int64(f.GetAt().GetLength())
		if offset < int64(from) || offset+length > int64(size) {
			continue
		}
		from = int(offset)
		list = append(list, codec.Field{Offset: from, Len: int(length), Name: f.GetName(), Value: f.GetValue()})
	}
	return list
}

// failureError is a failure that the plugin told of.
type failureError struct {
	text string
	kind error
}

func (e *failureError) Error() string { return e.text }
func (e *failureError) Unwrap() error { return e.kind }

func asFailure(err error) (error, bool) {
	if f, ok := errors.AsType[*failureError](err); ok {
		return f, true
	}
	f, ok := errors.AsType[*codec.OptionError](err)
	return f, ok
}

// failed is the error for a failure.
func failed(f *codecv1.Failure) error {
	text := strings.ToValidUTF8(f.GetText()[:min(len(f.GetText()), maxText)], "")
	if f.GetKind() == codecv1.Failure_OPTION {
		return &codec.OptionError{Pointer: f.GetPointer(), Reason: text}
	}
	kind := codec.ErrBroken // of kinds that are not known
	switch f.GetKind() {
	case codecv1.Failure_MALFORMED:
		kind = codec.ErrMalformed
	case codecv1.Failure_PROTOCOL:
		kind = codec.ErrProtocol
	case codecv1.Failure_REFUSED:
		kind = codec.ErrRefused
	case codecv1.Failure_UNKNOWN_COMMAND:
		kind = codec.ErrUnknownCommand
	case codecv1.Failure_BAD_COMMAND:
		kind = codec.ErrBadCommand
	case codecv1.Failure_BUSY:
		kind = codec.ErrBusy
	case codecv1.Failure_UNSUPPORTED:
		kind = errors.ErrUnsupported
	}
	switch {
	case text == "":
		text = kind.Error()
	case !strings.Contains(text, kind.Error()):
		text += ": " + kind.Error()
	}
	return &failureError{text: text, kind: kind}
}
