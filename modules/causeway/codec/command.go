package codec

import "encoding/json"

// CommandDesired is the name of the command that carries the desired values of a
// device (devices.<id>.desired of the module twin). Its payload is a JSON object;
// the result's payload is the object of the values that the device confirmed.
const CommandDesired = "desired"

// Command is an order to a device.
type Command struct {
	// Correlation identifies the command; the Result repeats it. It is unique
	// among the commands of a link, and at most 64 bytes of ASCII.
	Correlation string
	// Name is the command's name in the codec's own vocabulary.
	Name string
	// Payload is any JSON value, or empty.
	Payload json.RawMessage
}

// Result is the end of a command.
type Result struct {
	// Correlation is that of the command.
	Correlation string
	// Payload is the device's answer as one JSON value; empty means null.
	Payload json.RawMessage
	// Unconfirmed says that the command was sent and that nothing tells whether the device
	// has done it. It is the gateway that sets it, on a Result in the command's own outcome;
	// codecs need not know it.
	Unconfirmed bool
	// Err is not nil when the device refused the command, or wraps [ErrNoAnswer]; its text
	// is shown to the caller.
	Err error
}
