package acme

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Command implements codec.Commander: "interval" with {"seconds": 1 to 65535} sets
// how often the device reports.
func (d *link) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "interval" {
		return fmt.Errorf("%w %q, known is interval", codec.ErrUnknownCommand, c.Name)
	}
	var payload struct {
		Seconds int `json:"seconds"`
	}
	if err := codec.DecodeOptions(c.Payload, &payload); err != nil {
		return fmt.Errorf("%w: %w", codec.ErrBadCommand, err)
	}
	if payload.Seconds < 1 || payload.Seconds > math.MaxUint16 {
		return fmt.Errorf("%w: /seconds: got %d, allowed are 1 to 65535", codec.ErrBadCommand, payload.Seconds)
	}
	if d.pending != "" {
		return codec.ErrBusy
	}
	d.pending = c.Correlation
	out.Reply = seal(out, interval, binary.BigEndian.AppendUint16(nil, uint16(payload.Seconds))...)
	return nil
}

// answer ends the command that waits.
func (d *link) answer(body []byte, out *codec.Outcome) error {
	if len(body) != 1 {
		return fmt.Errorf("answer of %d bytes: %w", len(body), codec.ErrMalformed)
	}
	if d.pending == "" {
		return fmt.Errorf("answer to no command: %w", codec.ErrMalformed)
	}
	r := codec.Result{Correlation: d.pending}
	if status := body[0]; status == 0 {
		r.Payload = json.RawMessage(`{"ok":true}`)
	} else {
		r.Err = fmt.Errorf("device refused: %d", status)
	}
	d.pending = ""
	out.Results = append(out.Results, r)
	return nil
}
