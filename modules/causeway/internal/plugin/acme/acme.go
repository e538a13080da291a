// Package acme is the protocol that is written five times: here by hand in Go, and
// elsewhere as a layout, in JavaScript, as WebAssembly and behind gRPC. It is for
// tests only; what each kind of plugin makes of the dialogues in testdata has to
// equal what this package makes of them.
//
// The device speaks first, over TCP. A frame is
//
//	u16 length of what follows | u8 type | body | u8 XOR of type and body
//
// with integers in big-endian order. Devices send
//
//	01 login      device id, ASCII, 1 to 20 bytes; answered with 81 and 01 (let in) or 00 (refused)
//	02 data       u16 sequence, u8 count, then for each record u32 unix seconds, i16 temperature in 0.1 degC,
//	              u16 battery in mV, u8 flags (bit 0 door, bit 1 motion); acknowledged with 82 and the sequence
//	03 heartbeat  nothing; answered with 83
//	84 answer     u8 status of the command, 0 for success
//
// and get the command "interval" as 04 with u16 seconds.
package acme

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// The types of frames.
const (
	login     = 0x01
	data      = 0x02
	heartbeat = 0x03
	interval  = 0x04
	answered  = 0x84 // by the device, to interval
	response  = 0x80 // is set in the type of what answers a frame
)

const (
	head       = 3 // length and type
	overhead   = 4 // head and checksum
	longestID  = 20
	recordSize = 9
)

// New is the factory; the protocol has no options.
func New(options json.RawMessage) (codec.Codec, error) {
	if err := codec.DecodeOptions(options, &struct{}{}); err != nil {
		return nil, err
	}
	return acme{}, nil
}

type acme struct{}

// Begin implements codec.Codec.
func (acme) Begin(codec.Peer) (codec.Dialogue, error) { return &link{}, nil }

// link is the state of one link.
type link struct {
	known   bool   // the device has logged in
	pending string // the correlation of the command that waits for its answer
}

// Split implements codec.Framer. A frame is returned with its length, and whatever
// its length is, so that one that is too short is malformed and the link goes on.
func (*link) Split(b []byte, _ bool) (advance int, frame []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return 0, nil, nil
	}
	return n, b[:n:n], nil
}

// Receive implements codec.Dialogue.
func (d *link) Receive(f codec.Frame, out *codec.Outcome) error {
	kind, body, err := open(f.Bytes)
	if err != nil {
		return err
	}
	switch kind {
	case login:
		return d.login(body, out)
	case data:
		return d.data(body, out)
	case heartbeat:
		if len(body) != 0 {
			return fmt.Errorf("heartbeat with %d bytes: %w", len(body), codec.ErrMalformed)
		}
		out.Reply = seal(out, heartbeat|response)
		return nil
	case answered:
		return d.answer(body, out)
	default:
		return fmt.Errorf("type %#02x: %w", kind, codec.ErrMalformed)
	}
}

// open checks a frame and returns its type and body.
func open(b []byte) (kind byte, body []byte, err error) {
	if len(b) < overhead || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return 0, nil, fmt.Errorf("frame of %d bytes: %w", len(b), codec.ErrMalformed)
	}
	last := len(b) - 1
	if sum := xor(b[2:last]); sum != b[last] {
		return 0, nil, fmt.Errorf("checksum %#02x, want %#02x: %w", b[last], sum, codec.ErrMalformed)
	}
	return b[2], b[head:last], nil
}

// seal appends a frame to the outcome's memory and returns it.
func seal(out *codec.Outcome, kind byte, body ...byte) []byte {
	at := len(out.Scratch)
	b := binary.BigEndian.AppendUint16(out.Scratch, uint16(len(body)+2))
	b = append(append(b, kind), body...)
	out.Scratch = append(b, xor(b[at+2:]))
	return out.Scratch[at:len(out.Scratch):len(out.Scratch)]
}

func xor(b []byte) (sum byte) {
	for _, c := range b {
		sum ^= c
	}
	return sum
}

func (d *link) login(body []byte, out *codec.Outcome) error {
	if len(body) == 0 || len(body) > longestID {
		return fmt.Errorf("device id of %d bytes, allowed are 1 to %d: %w", len(body), longestID, codec.ErrMalformed)
	}
	for _, c := range body {
		if c > 0x7f {
			return fmt.Errorf("device id with byte %#02x: %w", c, codec.ErrMalformed)
		}
	}
	d.known = true
	out.Identity = codec.Identity{Device: string(body)}
	out.Identity.Accept = seal(out, login|response, 1)
	out.Identity.Refuse = seal(out, login|response, 0)
	return nil
}

// Resume implements codec.Resumer: a device that is known has logged in.
func (d *link) Resume(string) error {
	d.known = true
	return nil
}
