// Command acme is the codec of the protocol acme as a module: the example of a codec
// in Go. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags "-s -w" -o acme.wasm .
//
// A frame is a length of 16 bits, a type, a body, and the exclusive or of type and
// body; the length counts what follows it.
package main

import (
	"embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/guest"
)

// example is played by the gateway when it loads the module.
//
//go:embed testdata/day.txtar
var example embed.FS

var _ = guest.Serve(New, example)

func main() {}

// The types of frames.
const (
	typeLogin     = 0x01
	typeData      = 0x02
	typeHeartbeat = 0x03
	typeInterval  = 0x04
	answer        = 0x80 // to each of them
)

const (
	headSize   = 2
	mostDevice = 20
	dataHead   = 3
	recordSize = 9
)

// New makes the codec; there are no options.
func New(options json.RawMessage) (codec.Codec, error) {
	return acme{}, codec.DecodeOptions(options, &struct{}{})
}

type acme struct{}

// Begin implements codec.Codec.
func (acme) Begin(codec.Peer) (codec.Dialogue, error) { return &dialogue{}, nil }

type dialogue struct {
	known    bool   // the device has logged in
	interval string // correlation of the command that waits, empty for none
}

var _ codec.Framer = (*dialogue)(nil)

// Split implements codec.Framer.
func (d *dialogue) Split(data []byte, _ bool) (int, []byte, error) {
	if len(data) < headSize {
		return 0, nil, nil
	}
	n := headSize + int(binary.BigEndian.Uint16(data))
	if len(data) < n {
		return 0, nil, nil
	}
	return n, data[:n], nil
}

// Resume implements codec.Resumer.
func (d *dialogue) Resume(device string) error {
	if len(device) > mostDevice {
		return fmt.Errorf("device id of %d bytes, at most %d are possible: %w", len(device), mostDevice, codec.ErrMalformed)
	}
	d.known = true
	return nil
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	n := len(f.Bytes)
	if n < headSize+2 || int(binary.BigEndian.Uint16(f.Bytes)) != n-headSize {
		return fmt.Errorf("%d bytes do not fit their length: %w", n, codec.ErrMalformed)
	}
	if got, want := f.Bytes[n-1], xor(f.Bytes[headSize:n-1]); got != want {
		return fmt.Errorf("checksum 0x%02x, want 0x%02x: %w", got, want, codec.ErrMalformed)
	}
	body := f.Bytes[headSize+1 : n-1]
	switch kind := f.Bytes[headSize]; kind {
	case typeLogin:
		return d.login(body, out)
	case typeData:
		return d.data(body, out)
	case typeHeartbeat:
		if len(body) != 0 {
			return fmt.Errorf("heartbeat of %d bytes, want 0: %w", len(body), codec.ErrMalformed)
		}
		out.Reply = frame(out, typeHeartbeat|answer)
		return nil
	case typeInterval | answer:
		return d.answered(body, out)
	default:
		return fmt.Errorf("type 0x%02x is unknown: %w", kind, codec.ErrMalformed)
	}
}

func (d *dialogue) login(body []byte, out *codec.Outcome) error {
	if len(body) < 1 || len(body) > mostDevice {
		return fmt.Errorf("device id of %d bytes, want 1 to %d: %w", len(body), mostDevice, codec.ErrMalformed)
	}
	for _, c := range body {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("device id with byte 0x%02x: %w", c, codec.ErrMalformed)
		}
	}
	d.known = true
	out.Identity = codec.Identity{
		Device: string(body),
		Accept: frame(out, typeLogin|answer, 1),
		Refuse: frame(out, typeLogin|answer, 0),
	}
	return nil
}

func (d *dialogue) data(body []byte, out *codec.Outcome) error {
	if !d.known {
		return fmt.Errorf("data before login: %w", codec.ErrProtocol)
	}
	if len(body) < dataHead || len(body) != dataHead+recordSize*int(body[2]) {
		return fmt.Errorf("data of %d bytes does not fit its records: %w", len(body), codec.ErrMalformed)
	}
	seq := binary.BigEndian.Uint16(body)
	for r := body[dataHead:]; len(r) > 0; r = r[recordSize:] {
		temperature := int64(int16(binary.BigEndian.Uint16(r[4:])))
		battery := int64(binary.BigEndian.Uint16(r[6:]))
		door, motion := r[8]&1 != 0, r[8]&2 != 0
		m := out.Add()
		m.ContentType, m.ContentEncoding = "application/json", "utf-8"
		m.Time = time.Unix(int64(binary.BigEndian.Uint32(r)), 0)
		kind := "reading"
		if motion {
			kind = "alarm"
		}
		m.Set("kind", kind)
		from := len(out.Scratch)
		b := append(out.Scratch, `{"seq":`...)
		b = strconv.AppendUint(b, uint64(seq), 10)
		b = strconv.AppendFloat(append(b, `,"temperature":`...), float64(temperature)/10, 'f', -1, 64)
		b = strconv.AppendFloat(append(b, `,"battery":`...), float64(battery)/1000, 'f', -1, 64)
		b = strconv.AppendBool(append(b, `,"door":`...), door)
		b = strconv.AppendBool(append(b, `,"motion":`...), motion)
		out.Scratch = append(b, '}')
		m.Body = out.Scratch[from:]
	}
	out.Ack = frame(out, typeData|answer, body[0], body[1])
	return nil
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "interval" {
		return codec.ErrUnknownCommand
	}
	if d.interval != "" {
		return codec.ErrBusy
	}
	var payload struct {
		Seconds uint16 `json:"seconds"`
	}
	if codec.DecodeOptions(c.Payload, &payload) != nil || payload.Seconds == 0 {
		return fmt.Errorf(`want {"seconds": 1 to 65535}: %w`, codec.ErrBadCommand)
	}
	d.interval = c.Correlation
	out.Reply = frame(out, typeInterval, byte(payload.Seconds>>8), byte(payload.Seconds))
	return nil
}

// answered completes the command that waits.
func (d *dialogue) answered(body []byte, out *codec.Outcome) error {
	if len(body) != 1 || d.interval == "" {
		return fmt.Errorf("answer of %d bytes to no command: %w", len(body), codec.ErrMalformed)
	}
	r := codec.Result{Correlation: d.interval, Payload: json.RawMessage(`{"ok":true}`)}
	if body[0] != 0 {
		r.Payload, r.Err = nil, fmt.Errorf("device refused: %d", body[0])
	}
	out.Results, d.interval = append(out.Results, r), ""
	return nil
}

// frame writes a frame into the scratch memory.
func frame(out *codec.Outcome, kind byte, body ...byte) []byte {
	from := len(out.Scratch)
	out.Scratch = binary.BigEndian.AppendUint16(out.Scratch, uint16(len(body)+2))
	out.Scratch = append(append(out.Scratch, kind), body...)
	out.Scratch = append(out.Scratch, xor(out.Scratch[from+headSize:]))
	return out.Scratch[from:len(out.Scratch):len(out.Scratch)]
}

func xor(b []byte) (x byte) {
	for _, c := range b {
		x ^= c
	}
	return x
}
