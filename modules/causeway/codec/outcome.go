package codec

import "time"

// Outcome is what one frame, command or tick leads to. It is plain data; the
// zero value means that nothing happened. The gateway resets and reuses it.
type Outcome struct {
	// Identity is set when the device names itself for this link. It is judged
	// before the messages of the same outcome are taken.
	Identity Identity
	// Messages are what the device said, in order. Append with Add.
	Messages []Message
	// Reply is written to the device at once.
	Reply []byte
	// Ack is written once every message of this outcome is durable (or at once
	// where there is none), in the order of the outcomes of the link.
	Ack []byte
	// Nak is written in Ack's place when a message was refused for good. Empty
	// means silence, so that a device that can will send again.
	Nak []byte
	// Results are answers to earlier commands.
	Results []Result
	// Close, when not empty, closes the link after Reply and Ack are written; it
	// is the reason that operators read.
	Close string
	// Scratch is memory for the bodies of messages, replies and acknowledgements:
	// append to it and slice what was appended. Earlier slices stay valid when it
	// grows. It keeps its capacity over Reset.
	Scratch []byte
}

// Identity is a device's claim to a name.
type Identity struct {
	// Device is the device's own id (IMEI, serial number, phone number). Empty
	// means no claim.
	Device string
	// Secret is the token or password that the login frame carried, if any.
	Secret string
	// Accept is written when the device is let in, Refuse when it is not.
	Accept, Refuse []byte
}

// Message is one message for the hub.
type Message struct {
	// Body may alias the frame or Outcome.Scratch.
	Body []byte
	// Device names the device that this message is about, where a link speaks for
	// several or where each message carries the id. Empty means the link's own.
	Device string
	// ContentType is a media type, "application/json" for JSON; empty means
	// "application/octet-stream".
	ContentType string
	// ContentEncoding is the character set, "utf-8" for JSON; empty means none.
	ContentEncoding string
	// Time is when the device says the message was made; zero means on arrival.
	Time time.Time
	// Properties become application properties of the hub message. Names are
	// distinct without regard to case; values are text.
	Properties []Property
}

// Property is one application property.
type Property struct{ Name, Value string }

// Add appends an empty message and returns it. The pointer is valid until the
// next Add or Reset.
func (o *Outcome) Add() *Message {
	if n := len(o.Messages); n < cap(o.Messages) {
		o.Messages = o.Messages[:n+1]
		m := &o.Messages[n]
		*m = Message{Properties: m.Properties[:0]}
		return m
	}
	o.Messages = append(o.Messages, Message{})
	return &o.Messages[len(o.Messages)-1]
}

// Set adds a property. The caller does not add one name twice.
func (m *Message) Set(name, value string) {
	m.Properties = append(m.Properties, Property{Name: name, Value: value})
}

// Reset makes the outcome empty and keeps its memory.
func (o *Outcome) Reset() {
	*o = Outcome{
		Messages: o.Messages[:0],
		Results:  o.Results[:0],
		Scratch:  o.Scratch[:0],
	}
}
