package rpc

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// outcome answers with what is in l.out.
func (l *link) outcome(err error) *codecv1.Answer {
	from := &l.out
	to := &codecv1.Outcome{Reply: from.Reply, Ack: from.Ack, Nak: from.Nak, Close: text(from.Close)}
	if id := from.Identity; id.Device != "" {
		to.Identity = &codecv1.Identity{
			Device: text(id.Device), Secret: text(id.Secret), Accept: id.Accept, Refuse: id.Refuse,
		}
	}
	if n := len(from.Messages); n > 0 {
		messages := make([]codecv1.Message, n) // at once: an outcome of many records is common
		to.Messages = make([]*codecv1.Message, n)
		for i := range messages {
			message(&messages[i], &from.Messages[i])
			to.Messages[i] = &messages[i]
		}
	}
	for _, r := range from.Results {
		result := &codecv1.Result{Correlation: r.Correlation, Payload: r.Payload}
		if r.Err != nil {
			result.Error = text(r.Err.Error())
		}
		to.Results = append(to.Results, result)
	}
	answer := &codecv1.Answer{Kind: &codecv1.Answer_Outcome{Outcome: to}}
	if err != nil {
		answer.Failure = failure(err, codecv1.Failure_MALFORMED)
	}
	return answer
}

func message(to *codecv1.Message, from *codec.Message) {
	to.Body, to.Device = from.Body, text(from.Device)
	to.ContentType, to.ContentEncoding = text(from.ContentType), text(from.ContentEncoding)
	if !from.Time.IsZero() {
		to.Time = timestamppb.New(from.Time)
	}
	for _, p := range from.Properties {
		to.Properties = append(to.Properties, &codecv1.Property{Name: text(p.Name), Value: text(p.Value)})
	}
}

// text makes valid UTF-8 of what devices call text: the wire takes nothing else.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// failure sorts an error; other is what it is when it is of no kind.
func failure(err error, other codecv1.Failure_Kind) *codecv1.Failure {
	f := &codecv1.Failure{Kind: other, Text: text(err.Error())}
	for _, k := range []struct {
		err  error
		kind codecv1.Failure_Kind
	}{
		{codec.ErrBroken, codecv1.Failure_BROKEN},
		{codec.ErrProtocol, codecv1.Failure_PROTOCOL},
		{codec.ErrRefused, codecv1.Failure_REFUSED},
		{codec.ErrMalformed, codecv1.Failure_MALFORMED},
		{codec.ErrUnknownCommand, codecv1.Failure_UNKNOWN_COMMAND},
		{codec.ErrBadCommand, codecv1.Failure_BAD_COMMAND},
		{codec.ErrBusy, codecv1.Failure_BUSY},
		{errors.ErrUnsupported, codecv1.Failure_UNSUPPORTED},
	} {
		if errors.Is(err, k.err) {
			f.Kind = k.kind
			break
		}
	}
	return f
}

// optionFailure is about the options of the listener.
func optionFailure(err error) *codecv1.Failure {
	f := &codecv1.Failure{Kind: codecv1.Failure_OPTION, Text: text(err.Error())}
	if wrong, ok := errors.AsType[*codec.OptionError](err); ok {
		f.Pointer, f.Text = text(wrong.Pointer), text(wrong.Reason)
	}
	return f
}
