package teltonika

import (
	"encoding/binary"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Answers to a login.
const (
	accepted = 0x01
	refused  = 0x00
)

// stream is the dialogue of one TCP or TLS connection: login first, then packets.
type stream struct {
	*protocol
	imei    string
	pending pending
}

// Receive implements codec.Dialogue.
func (d *stream) Receive(f codec.Frame, out *codec.Outcome) error {
	b := f.Bytes
	switch {
	case len(b) == 1 && b[0] == ping:
		return nil
	case len(b) > 2 && b[0] == 0 && b[1] != 0:
		return d.login(b, out)
	case len(b) < headLen+minData+crcLen || binary.BigEndian.Uint32(b) != 0:
		return fmt.Errorf("teltonika: frame of %d bytes is no login, ping or packet: %w", len(b), codec.ErrMalformed)
	case d.imei == "":
		return fmt.Errorf("teltonika: packet before login: %w", codec.ErrProtocol)
	}
	return d.packet(b, out)
}

// login claims the IMEI. The gateway judges it and writes the answer.
func (d *stream) login(b []byte, out *codec.Outcome) error {
	n := int(binary.BigEndian.Uint16(b))
	imei := b[2:]
	if n != len(imei) || n > maxIMEI || !digits(imei) {
		return fmt.Errorf("teltonika: login %.24q, allowed are 1 to %d digits after their count: %w",
			b, maxIMEI, codec.ErrProtocol)
	}
	if d.options.Luhn && !luhn(imei) {
		out.Scratch = append(out.Scratch, refused)
		out.Reply = out.Scratch[len(out.Scratch)-1:]
		return fmt.Errorf("teltonika: check digit of IMEI %s is wrong: %w", imei, codec.ErrRefused)
	}
	if d.imei != "" && d.imei != string(imei) {
		return fmt.Errorf("teltonika: second login as %s on the link of %s: %w", imei, d.imei, codec.ErrProtocol)
	}
	d.imei = string(imei)
	at := len(out.Scratch)
	out.Scratch = append(out.Scratch, accepted, refused)
	answers := out.Scratch[at:]
	out.Identity = codec.Identity{Device: d.imei, Accept: answers[:1:1], Refuse: answers[1:2:2]}
	return nil
}

// Resume implements codec.Resumer: packets of TCP do not name their tracker.
func (d *stream) Resume(device string) error {
	if device == "" || len(device) > maxIMEI || !digits([]byte(device)) {
		return fmt.Errorf("teltonika: device %.24q, allowed are 1 to %d digits: %w", device, maxIMEI, codec.ErrRefused)
	}
	d.imei = device
	return nil
}

// packet checks the envelope and decodes what is in it.
func (d *stream) packet(b []byte, out *codec.Outcome) error {
	n := binary.BigEndian.Uint32(b[4:])
	if uint64(n)+headLen+crcLen != uint64(len(b)) {
		return fmt.Errorf("teltonika: data field of %d bytes in a frame of %d: %w", n, len(b), codec.ErrMalformed)
	}
	data := b[headLen : len(b)-crcLen]
	want, got := binary.BigEndian.Uint32(b[len(b)-crcLen:]), uint32(d.crc.sum(data))
	if want != got && d.options.StrictCRC {
		return fmt.Errorf("teltonika: crc 0x%08X, computed 0x%04X: %w", want, got, codec.ErrMalformed)
	}
	s := batch{data: data, badCRC: want != got}
	if f, ok := avlFormat(data[0]); ok {
		if err := d.records(f, s, out); err != nil {
			return err
		}
		at := len(out.Scratch)
		out.Scratch = binary.BigEndian.AppendUint32(out.Scratch, uint32(data[1]))
		out.Ack = out.Scratch[at:len(out.Scratch):len(out.Scratch)]
		return nil
	}
	return d.texts(s, &d.pending, d.imei, out)
}

// luhn reports whether the last digit is the check digit of those before it.
func luhn(imei []byte) bool {
	sum := 0
	for i := range imei {
		n := int(imei[len(imei)-1-i] - '0')
		if i%2 == 1 {
			n *= 2
		}
		sum += n/10 + n%10
	}
	return sum%10 == 0
}
