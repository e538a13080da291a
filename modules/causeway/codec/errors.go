package codec

import "errors"

// Kinds of errors that a dialogue returns, always wrapped with what was wrong
// ("teltonika: crc 0x1234, want 0xABCD: malformed frame").
var (
	// ErrMalformed: this frame is bad, the link may go on. The frame is counted.
	ErrMalformed = errors.New("malformed frame")
	// ErrProtocol: the dialogue cannot go on; the link is closed.
	ErrProtocol = errors.New("protocol violation")
	// ErrRefused: the device may not come in; the link is closed.
	ErrRefused = errors.New("identity refused")
	// ErrBroken: the codec itself failed, not the device: it panicked, ran out of its
	// budget, or the process that runs it is gone. The link is closed and the frame
	// becomes a dead letter. The gateway wraps a panic in it; adapters of plugins return
	// it.
	ErrBroken = errors.New("codec failed")
	// ErrUnknownCommand: the codec has no command of that name.
	ErrUnknownCommand = errors.New("unknown command")
	// ErrBadCommand: the payload does not fit the command.
	ErrBadCommand = errors.New("bad command payload")
	// ErrBusy: the device has to answer an earlier command first.
	ErrBusy = errors.New("device busy with an earlier command")
)

// ErrNoAnswer is the error of a [Result], wrapped or as it is, with which a codec gives up a
// command that its device left unanswered: it is no refusal, and the command may be tried again.
var ErrNoAnswer = errors.New("no answer from the device")
