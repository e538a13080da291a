package teltonika

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// datagrams is the dialogue of one UDP peer: every datagram names its device.
type datagrams struct {
	*protocol
	imei string
}

// udpHead is the header of a datagram.
type udpHead struct {
	packet uint16
	avl    byte
	imei   []byte
}

// splitDatagram takes the header off: length, packet id, a byte that is not
// used, AVL packet id, IMEI. The length counts what follows it.
func splitDatagram(b []byte) (udpHead, []byte, error) {
	const fixed = 8 // up to and with the length of the IMEI
	if len(b) < fixed {
		return udpHead{}, nil, fmt.Errorf("teltonika: datagram of %d bytes, at least %d: %w",
			len(b), fixed, codec.ErrMalformed)
	}
	if n := int(binary.BigEndian.Uint16(b)); n != len(b)-2 {
		return udpHead{}, nil, fmt.Errorf("teltonika: datagram says %d bytes, holds %d: %w",
			n, len(b)-2, codec.ErrMalformed)
	}
	h := udpHead{packet: binary.BigEndian.Uint16(b[2:]), avl: b[5]}
	n := int(binary.BigEndian.Uint16(b[6:]))
	if n == 0 || n > maxIMEI || n > len(b)-fixed || !digits(b[fixed:fixed+n]) {
		return udpHead{}, nil, fmt.Errorf("teltonika: datagram with an IMEI of %d bytes, allowed are 1 to %d digits: %w",
			n, maxIMEI, codec.ErrMalformed)
	}
	h.imei = b[fixed : fixed+n]
	data := b[fixed+n:]
	if len(data) < minData {
		return udpHead{}, nil, fmt.Errorf("teltonika: datagram with %d bytes of data, at least %d: %w",
			len(data), minData, codec.ErrMalformed)
	}
	return h, data, nil
}

// Receive implements codec.Dialogue.
func (d *datagrams) Receive(f codec.Frame, out *codec.Outcome) error {
	h, data, err := splitDatagram(f.Bytes)
	if err != nil {
		return err
	}
	if d.options.Luhn && !luhn(h.imei) {
		return fmt.Errorf("teltonika: check digit of IMEI %s is wrong: %w", h.imei, codec.ErrRefused)
	}
	s := batch{data: data}
	if f, ok := avlFormat(data[0]); ok {
		err = d.records(f, s, out)
	} else {
		err = d.texts(s, nil, string(h.imei), out)
	}
	if err != nil {
		return err
	}
	if d.imei != string(h.imei) {
		d.imei = string(h.imei)
		out.Identity.Device = d.imei
	}
	at := len(out.Scratch)
	out.Scratch = append(out.Scratch, 0, 5, byte(h.packet>>8), byte(h.packet), 1, h.avl, data[1])
	out.Ack = out.Scratch[at:len(out.Scratch):len(out.Scratch)]
	return nil
}

// Command implements codec.Commander by refusing: the public specification has
// no form for a command in a datagram, and a tracker behind a mobile network is
// reachable only while it sends.
func (d *datagrams) Command(codec.Command, *codec.Outcome) error {
	return fmt.Errorf("teltonika: commands over UDP: %w", errors.ErrUnsupported)
}
