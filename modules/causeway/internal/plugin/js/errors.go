package js

import (
	"errors"
	"fmt"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// kinds are the errors that a script throws by name; anything else that it throws is
// about the frame.
var kinds = map[string]error{
	"Malformed": codec.ErrMalformed, "Protocol": codec.ErrProtocol, "Refused": codec.ErrRefused,
	"UnknownCommand": codec.ErrUnknownCommand, "BadCommand": codec.ErrBadCommand, "Busy": codec.ErrBusy,
}

// maxErrorText bounds what a script says, in the log and in dead letters.
const maxErrorText = 500

// stackOf returns the frames of an error of the engine. located is false for errors
// of others.
func stackOf(err error) (frames []goja.StackFrame, located bool) {
	if e, ok := errors.AsType[*goja.InterruptedError](err); ok {
		return e.Stack(), true
	}
	if e, ok := errors.AsType[*goja.StackOverflowError](err); ok {
		return e.Stack(), true
	}
	if e, ok := errors.AsType[*goja.Exception](err); ok {
		return e.Stack(), true
	}
	return nil, false
}

// where names the innermost place in the script itself.
func (p *Program) where(frames []goja.StackFrame) string {
	for i := range frames {
		if at := frames[i].Position(); frames[i].SrcName() == p.name && at.Line > 0 {
			return fmt.Sprintf("%s:%d:%d", p.name, at.Line, at.Column)
		}
	}
	return p.name
}

// wordError turns an error of the engine into one of the contract. Others are
// returned as they are.
func (p *Program) wordError(err error) error {
	frames, located := stackOf(err)
	if !located {
		return err
	}
	at := p.where(frames)
	if e, ok := errors.AsType[*goja.InterruptedError](err); ok {
		return fmt.Errorf("%s: %v: %w", at, e.Value(), codec.ErrBroken)
	}
	if _, ok := errors.AsType[*goja.StackOverflowError](err); ok {
		return fmt.Errorf("%s: functions call each other more than %d deep: %w", at, p.limits.Stack, codec.ErrBroken)
	}
	e, _ := errors.AsType[*goja.Exception](err)
	name, text := thrown(e.Value())
	kind, known := kinds[name]
	if !known {
		kind = codec.ErrMalformed
		if name != "" && name != "Error" {
			text = name + ": " + text
		}
	}
	return fmt.Errorf("%s: %s: %w", at, clip(text), kind)
}

// brokenf says that the script failed where no line can be named.
func (p *Program) brokenf(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", p.name, clip(fmt.Sprintf(format, args...)), codec.ErrBroken)
}

// thrown is what a script threw: an Error's name and message, or any value's text.
func thrown(v goja.Value) (name, text string) {
	defer func() { // its getters are the script's too
		if recover() != nil {
			name, text = "", "threw an object that cannot be read"
		}
	}()
	o, ok := v.(*goja.Object)
	if !ok {
		return "", v.String()
	}
	plain := func(key string) string {
		if s, ok := o.Get(key).(goja.String); ok {
			return s.String()
		}
		return ""
	}
	if name, text = plain("name"), plain("message"); name == "" && text == "" {
		text = "threw an object that is no Error"
	}
	return name, text
}

func clip(text string) string {
	if len(text) > maxErrorText {
		return text[:maxErrorText] + "..."
	}
	return text
}
