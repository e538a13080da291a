package teltonika

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxText bounds a command's text. An SMS command has at most 160 characters; over
// a connection the longest known use is a setparam list of a few hundred.
const maxText = 1024

// errNoAnswer ends a command that the device left unanswered for too long.
var errNoAnswer = fmt.Errorf("teltonika: %w", codec.ErrNoAnswer)

// errNotExecuted is a device's refusal in Codec 14: the command was for another IMEI.
var errNotExecuted = errors.New("teltonika: the device refused the command, it is not the addressed IMEI")

// pending is the command that the device has to answer. The zero value means
// none. The protocol has no transaction number, so only one can be under way.
type pending struct {
	correlation string
	codec       byte
	// desired holds what was asked for when the command is codec.CommandDesired.
	desired []parameter
	// since is the first tick after the command was written.
	since time.Time
}

// Command implements codec.Commander: the command's name and its payload become
// the text of a Codec 12 or 14 command.
func (d *stream) Command(c codec.Command, out *codec.Outcome) error {
	if d.imei == "" {
		return fmt.Errorf("teltonika: command %q before login: %w", c.Name, codec.ErrBusy)
	}
	if d.pending.codec != 0 {
		return fmt.Errorf("teltonika: command %q: %w", c.Name, codec.ErrBusy)
	}
	next := pending{correlation: c.Correlation, codec: byte(d.options.CommandCodec)}
	var (
		text string
		err  error
	)
	if c.Name == codec.CommandDesired {
		next.desired, err = parseDesired(c.Payload)
		text = setparam(next.desired)
	} else {
		text, err = commandText(c)
	}
	if err != nil {
		return err
	}
	if len(text) > maxText {
		return fmt.Errorf("teltonika: command of %d characters, allowed are %d: %w",
			len(text), maxText, codec.ErrBadCommand)
	}
	if c.Name == codec.CommandDesired && len(next.desired) == 0 {
		out.Results = append(out.Results, codec.Result{Correlation: c.Correlation, Payload: json.RawMessage("{}")})
		return nil
	}
	at := len(out.Scratch)
	if out.Scratch, err = d.appendCommand(out.Scratch, text); err != nil {
		return err
	}
	out.Reply = out.Scratch[at:len(out.Scratch):len(out.Scratch)]
	d.pending = next
	return nil
}

// appendCommand appends the packet that carries a command's text.
func (d *stream) appendCommand(b []byte, text string) ([]byte, error) {
	var imei []byte
	if d.options.CommandCodec == codec14 {
		packed := d.imei
		if len(packed) < 16 {
			packed = strings.Repeat("0", 16-len(packed)) + packed
		}
		var err error
		if imei, err = hex.DecodeString(packed); err != nil || len(imei) != 8 {
			return nil, fmt.Errorf("teltonika: codec 14 cannot address IMEI %s: %w", d.imei, codec.ErrBadCommand)
		}
	}
	size := len(imei) + len(text)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(size)+8)
	at := len(b)
	b = append(b, byte(d.options.CommandCodec), 1, typeCommand)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = append(b, imei...)
	b = append(b, text...)
	b = append(b, 1)
	return binary.BigEndian.AppendUint32(b, uint32(d.crc.sum(b[at:]))), nil
}

// Tick implements codec.Ticker: a command that stays unanswered is given up, so
// that the device can be asked again.
func (d *stream) Tick(now time.Time, out *codec.Outcome) error {
	switch {
	case d.pending.codec == 0:
	case d.pending.since.IsZero():
		d.pending.since = now
	case now.Sub(d.pending.since) >= time.Duration(d.options.CommandTimeoutSeconds)*time.Second:
		out.Results = append(out.Results, codec.Result{Correlation: d.pending.correlation, Err: errNoAnswer})
		d.pending = pending{}
	}
	return nil
}

// answeredBy reports whether the text ends the command: a device answers in the
// codec that it was asked in.
func (p *pending) answeredBy(id byte, t text, imei string) bool {
	if p.codec != id || t.kind != typeResponse && t.kind != typeNack {
		return false
	}
	return t.imei == "" || t.imei == imei
}

// finish turns the answer into the command's result.
func (p *pending) finish(t text) codec.Result {
	done := *p
	*p = pending{}
	r := codec.Result{Correlation: done.correlation}
	switch {
	case t.kind == typeNack:
		r.Err = errNotExecuted
	case done.desired != nil:
		r.Payload, r.Err = confirmed(done.desired, string(t.data))
	default:
		r.Payload = append(appendText([]byte{'{'}, `"response":`, t.data), '}')
	}
	return r
}

// commandText joins the command's name and arguments.
func commandText(c codec.Command) (string, error) {
	if c.Name == "" || !printable(c.Name) {
		return "", fmt.Errorf("teltonika: command %q, allowed are printable ASCII names like getver: %w",
			c.Name, codec.ErrUnknownCommand)
	}
	arguments, err := commandArguments(c.Payload)
	if err != nil {
		return "", fmt.Errorf("teltonika: command %s: %w", c.Name, err)
	}
	for _, a := range arguments {
		if !printable(a) {
			return "", fmt.Errorf("teltonika: command %s: argument %q, allowed is printable ASCII: %w",
				c.Name, a, codec.ErrBadCommand)
		}
	}
	return strings.Join(append([]string{c.Name}, arguments...), " "), nil
}

// commandArguments reads a payload: nothing, one text or number, a list of them,
// or {"text": one} or {"args": list}.
func commandArguments(payload json.RawMessage) ([]string, error) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || string(payload) == "null" {
		return nil, nil
	}
	switch payload[0] {
	case '{':
		var o struct {
			Text *scalar  `json:"text"`
			Args []scalar `json:"args"`
		}
		d := json.NewDecoder(bytes.NewReader(payload))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			return nil, fmt.Errorf(`payload: %w, allowed is {"text": ...} or {"args": [...]}: %w`, err, codec.ErrBadCommand)
		}
		if o.Text != nil {
			return append([]string{string(*o.Text)}, texted(o.Args)...), nil
		}
		return texted(o.Args), nil
	case '[':
		var list []scalar
		if err := json.Unmarshal(payload, &list); err != nil {
			return nil, fmt.Errorf("payload: %w: %w", err, codec.ErrBadCommand)
		}
		return texted(list), nil
	}
	var one scalar
	if err := json.Unmarshal(payload, &one); err != nil {
		return nil, fmt.Errorf("payload: %w: %w", err, codec.ErrBadCommand)
	}
	return []string{string(one)}, nil
}

// scalar is a JSON string or number as the device's text; true and false are 1
// and 0, as in every Teltonika parameter.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(raw []byte) error {
	switch {
	case raw[0] == '"':
		return json.Unmarshal(raw, (*string)(s))
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*s = scalar(raw)
	case string(raw) == "true":
		*s = "1"
	case string(raw) == "false":
		*s = "0"
	default:
		return fmt.Errorf("%.40s, allowed are text, numbers, true and false", raw)
	}
	return nil
}

func texted(list []scalar) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// printable reports whether s is ASCII without control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
