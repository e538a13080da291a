package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// AckLevel says when a device is acknowledged.
type AckLevel int

// The levels of the configuration's "ack".
const (
	// AckStored: when the hub has accepted the data.
	AckStored AckLevel = iota
	// AckDecoded: at once, for devices that cannot wait.
	AckDecoded
	// AckNone: never.
	AckNone
)

// Profile is what all sessions of one listener share. It is read-only once
// sessions use it.
type Profile struct {
	Listener, CodecName, Output string
	Codec                       codec.Codec
	// Framing is nil where the codec frames itself, and for datagrams.
	Framing *frame.Framing
	Ack     AckLevel
	// Device is the fixed device id, empty for none: then a message without one
	// carries the listener's name.
	Device string
	// Admission judges devices that name themselves, by a login or in a message. Nil
	// lets everybody in.
	Admission Admission
	// Quarantine takes devices whose verdict is Hold; nil refuses them.
	Quarantine *Quarantine
	// FrameBytes bounds a frame. LoginBytes and LoginTime bound what comes before
	// the first identity or message; Idle is the longest time without a frame.
	FrameBytes, LoginBytes int
	LoginTime, Idle        time.Duration
	// MessageBytes is the size of a message, properties included, from which a codec
	// that can is asked to cut it; 0 for never.
	MessageBytes int

	Uplink   Uplink
	Router   Router
	Table    *Table
	Observer Observer
	// Turned hears of the turns in the lives of devices, in the order in which they happen
	// to each. It is called inline, of connections with the table's lock held: it must
	// neither wait nor call back. Optional.
	Turned func(Turn)

	edition   atomic.Pointer[Edition]
	exchanges sync.Pool // of *exchange
	lanes     sync.Pool // of *lane
}

// Uplink is the way up, see package hub. It takes all messages of an outcome or
// none; with a nil error the receipt will be settled exactly once for each. The
// messages are borrowed until the call returns.
type Uplink interface {
	// Send waits for room until ctx ends, TrySend returns message.ErrFull.
	Send(ctx context.Context, outcome []message.Message, r message.Receipt) error
	TrySend(outcome []message.Message, r message.Receipt) error
}

// Router chooses the output of a message and may add properties.
type Router interface {
	Apply(m *message.Message)
}

// Observer counts and logs for one listener. It is called inline from many
// goroutines, so it must be cheap.
type Observer interface {
	// Received tells of frames that were received, and of their bytes together.
	Received(frames, bytes int)
	// Sent tells of messages handed to the uplink.
	Sent(messages int)
	// Acknowledged tells how long a device waited for its acknowledgement.
	Acknowledged(waited time.Duration, positive bool)
	// Fault tells of something that went wrong on one link.
	Fault(Fault)
}

// Fault is one thing that went wrong. Frame and Message are borrowed until the call
// that tells of it returns.
type Fault struct {
	Kind   FaultKind
	Link   Link
	Device string
	Err    error
	// Frame is what could not be decoded, where the fault is about received bytes.
	// With Uncut it is a piece of the stream of which no frame could be cut, at most
	// 64 KiB of it; otherwise the frame as the codec got it.
	Frame []byte
	Uncut bool
	// Private tells that Frame may hold what a device logs in with: its device is not
	// let in yet, or the secret was found in it.
	Private bool
	// Message is what was refused before it came to the hub. What the hub refuses is
	// in the error, a *message.Refused.
	Message *message.Message
}

// FaultKind sorts faults for counting.
type FaultKind string

// The kinds of faults.
const (
	FaultMalformed FaultKind = "malformed"    // the codec cannot read a frame
	FaultProtocol  FaultKind = "protocol"     // the link was closed for what it sent
	FaultIdentity  FaultKind = "identity"     // a device was not let in
	FaultBroken    FaultKind = "codec-failed" // the codec itself failed, see codec.ErrBroken
	FaultRefused   FaultKind = "hub-refused"  // the hub will never take a message
	FaultDropped   FaultKind = "dropped"      // a message was not handed over: mostly a datagram that found the queue full
	FaultSend      FaultKind = "device-write" // the device did not take an answer
)

// kindOf sorts a dialogue's error.
func kindOf(err error) FaultKind {
	switch {
	case errors.Is(err, codec.ErrBroken):
		return FaultBroken
	case errors.Is(err, errAnswer):
		return FaultSend
	case errors.Is(err, codec.ErrRefused):
		return FaultIdentity
	case errors.Is(err, codec.ErrProtocol):
		return FaultProtocol
	default:
		return FaultMalformed
	}
}
