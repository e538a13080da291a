package message

import (
	"fmt"
	"strconv"
	"strings"
)

// Refused is the error with which a message is settled that the hub will never
// take. It wraps ErrRefused and the hub's reason.
type Refused struct {
	// Message is what was refused, in memory of its own, as the hub got it: properties
	// that the gateway had left out or mended are so here.
	Message *Message
	// Reason is the hub's.
	Reason error
}

// Error implements error.
func (r *Refused) Error() string { return fmt.Sprintf("%v: %v", ErrRefused, r.Reason) }

// Unwrap lets errors.Is find ErrRefused and the reason.
func (r *Refused) Unwrap() []error { return []error{ErrRefused, r.Reason} }

// ParseID reads the epoch and the sequence of a message id of the device, as
// AppendID writes it.
func ParseID(device, id string) (epoch, seq uint64, err error) {
	const base = 36
	m := Message{Device: device}
	prefix := strings.TrimSuffix(string(m.AppendID(nil)), "0-0") // of epoch 0 and sequence 0
	rest, ok := strings.CutPrefix(id, prefix)
	head, tail, two := strings.Cut(rest, "-")
	if ok && two {
		if epoch, err = strconv.ParseUint(head, base, 64); err == nil {
			seq, err = strconv.ParseUint(tail, base, 64)
		}
		if err == nil {
			return epoch, seq, nil
		}
	}
	return 0, 0, fmt.Errorf("message id %.200q is none of device %.200q", id, device)
}
