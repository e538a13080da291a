package codec

import (
	"net/netip"
	"time"
)

// Codec makes dialogues. One codec value serves every link of the listeners that
// name it, from several goroutines at once, so it must be safe for concurrent
// use; compiled options are read-only fields.
type Codec interface {
	// Begin is called once for each link, before its first frame. An error
	// refuses the link: it is closed and the error is counted and logged.
	Begin(Peer) (Dialogue, error)
}

// Dialogue is the state of one link. Its methods, add-ons included, are never
// called concurrently.
type Dialogue interface {
	// Receive decodes one frame, in wire order, into the empty outcome. An error
	// wraps one of the kinds [ErrMalformed], [ErrProtocol], [ErrRefused] and
	// [ErrBroken]; any other error is treated as ErrMalformed. The outcome is used
	// even when an error is returned, except for its Messages and Ack, so a dialogue
	// can still answer the device; with ErrBroken nothing of it is used.
	Receive(Frame, *Outcome) error
}

// Peer says who is at the other end of a link when it begins.
type Peer struct {
	// Listener is the name of the listener in the configuration.
	Listener string
	// Transport is "tcp", "tls" or "udp".
	Transport string
	// Remote is the device's address, from the PROXY protocol where it is trusted.
	Remote netip.AddrPort
	// TLS is nil unless the device presented a certificate that was verified.
	TLS *TLSIdentity
}

// Datagram reports whether each frame is a datagram of its own.
func (p Peer) Datagram() bool { return p.Transport == "udp" }

// TLSIdentity is what a verified client certificate says.
type TLSIdentity struct {
	// CommonName is the subject's common name.
	CommonName string
	// Names are the DNS subject alternative names.
	Names []string
	// Fingerprint is the lower-case hexadecimal SHA-256 of the certificate.
	Fingerprint string
}

// Frame is one protocol data unit as cut by the listener's framing or by the
// dialogue's own [Framer].
type Frame struct {
	// Bytes is borrowed, see the package comment.
	Bytes []byte
	// At is the time of arrival; a codec uses it instead of a clock.
	At time.Time
}

// Framer is the add-on of a dialogue that cuts the stream itself. It is used
// when the listener's configuration names no framing, and never for datagrams.
type Framer interface {
	// Split has the contract of bufio.SplitFunc: it returns how many bytes to
	// consume and the frame, or 0, nil, nil to ask for more. It must refuse a
	// frame as soon as its head shows that it is impossible, with an error that
	// wraps ErrProtocol; the gateway enforces the size limit besides.
	Split(data []byte, atEOF bool) (advance int, frame []byte, err error)
}

// Commander is the add-on of a dialogue that can speak to its device.
type Commander interface {
	// Command writes the bytes of the command into out.Reply and remembers in the
	// dialogue how the answer will be recognised; the answer comes out of a later
	// Receive as a [Result] with the same Correlation. A command that the device
	// never answers is completed by a Result in this same outcome: such a Result says
	// that the command was sent, since the device cannot have answered, and so nobody
	// takes it for a confirmation. An error wraps [ErrUnknownCommand], [ErrBadCommand]
	// or [ErrBusy]; nothing is written then.
	Command(Command, *Outcome) error
}

// Ticker is the add-on of a dialogue with timers: keep-alive, retransmission.
type Ticker interface {
	// Tick is called about once a second while the link lives.
	Tick(now time.Time, out *Outcome) error
}

// Explainer is the add-on that names the parts of a frame, for people.
type Explainer interface {
	// Explain returns the fields of the frame in ascending order of offset. It
	// must not panic on any input; what it does not know it leaves out.
	Explain(frame []byte) []Field
}

// Resumer is the add-on of a dialogue that must know its device to decode a frame,
// because a login came before it on the link.
type Resumer interface {
	// Resume tells a dialogue that has just begun which device it speaks with, for
	// frames that are decoded again outside of their link (dead letters). The device
	// was let in then, so that nothing is answered. An error says that it cannot be a
	// device of this protocol.
	Resume(device string) error
}

// Splitter is the add-on of a dialogue whose messages may hold several records, so
// that one that is too large for the hub can go in parts.
type Splitter interface {
	// SplitBody cuts the body of one of the dialogue's messages into bodies of the
	// same content type that hold the same records in the same order: as few as
	// possible of at most limit bytes each, but a record that is larger by itself
	// stands alone. Fewer than two mean that there is nothing to cut. Equal messages
	// are cut equally, since the ids of the parts count on it. The result may alias
	// the body, and is valid until the outcome's messages were taken.
	SplitBody(m *Message, limit int) [][]byte
}

// Closer is the add-on of a dialogue that holds something besides memory, a call to
// another process for one.
type Closer interface {
	// Close is the last call of a dialogue: its link is over, or it was begun to ask
	// what it can do. The error is not looked at.
	Close() error
}

// Close closes a dialogue where it is a [Closer].
func Close(d Dialogue) {
	if c, ok := d.(Closer); ok {
		_ = c.Close() // as its contract says
	}
}

// Identifier is the add-on of a codec (of the [Codec], not of its dialogues) that
// recognises its own protocol, to tell people what unknown bytes may be.
type Identifier interface {
	// Identify says how sure it is that the data is what a device of this protocol
	// sends, from 0 (not at all) to 100, and why in a few words. The data is the
	// beginning of a stream, a frame out of its middle, or a datagram; it may be cut off.
	// It must not panic on any input.
	Identify(data []byte) (confidence int, reason string)
}

// Field is one named byte range of a frame.
type Field struct {
	Offset, Len int
	Name        string
	Value       string
}

// Func is a codec without state: the function is called for every frame of every
// link, from several goroutines.
type Func func(Frame, *Outcome) error

// Begin implements Codec.
func (f Func) Begin(Peer) (Dialogue, error) { return f, nil }

// Receive implements Dialogue.
func (f Func) Receive(frame Frame, out *Outcome) error { return f(frame, out) }
