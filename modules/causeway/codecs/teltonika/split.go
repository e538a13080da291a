package teltonika

import (
	"encoding/binary"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// ping is sent by an idle device to keep the connection open; no answer.
	ping = 0xFF
	// maxIMEI is the longest login: an IMEI has 15 digits, an IMEISV 16, and a few
	// firmwares fill up with more.
	maxIMEI = 20
	// headLen is the preamble and the length of the data field.
	headLen = 8
	// crcLen is the check sum behind the data field.
	crcLen = 4
	// minData is codec id and both counts.
	minData = 3
)

// Split implements codec.Framer: a login, a ping or a packet, told apart by
// their first bytes.
func (d *stream) Split(data []byte, _ bool) (int, []byte, error) {
	switch {
	case len(data) == 0:
		return 0, nil, nil
	case data[0] == ping:
		return 1, data[:1], nil
	case data[0] != 0:
		return 0, nil, fmt.Errorf("teltonika: frame starts with 0x%02X: %w", data[0], codec.ErrProtocol)
	case len(data) == 1:
		return 0, nil, nil
	case data[1] != 0:
		return splitLogin(data)
	}
	return splitPacket(data, d.options.MaxPacket)
}

// splitLogin cuts `length IMEI`.
func splitLogin(data []byte) (int, []byte, error) {
	n := int(data[1])
	if n > maxIMEI {
		return 0, nil, fmt.Errorf("teltonika: login of %d bytes, allowed are 1 to %d: %w",
			n, maxIMEI, codec.ErrProtocol)
	}
	imei := data[2:min(len(data), 2+n)]
	if !digits(imei) {
		return 0, nil, fmt.Errorf("teltonika: login with IMEI %.20q, digits are allowed: %w", imei, codec.ErrProtocol)
	}
	if len(imei) < n {
		return 0, nil, nil
	}
	return 2 + n, data[:2+n], nil
}

// splitPacket cuts `00000000 length data crc`. A length over the limit is refused
// with its first byte that shows it.
func splitPacket(data []byte, limit int) (int, []byte, error) {
	var head [headLen]byte
	known := copy(head[:], data)
	if p := binary.BigEndian.Uint32(head[:]); p != 0 {
		return 0, nil, fmt.Errorf("teltonika: preamble %08X, want 00000000: %w", p, codec.ErrProtocol)
	}
	// Bytes that have not arrived count as zero, so this is the least it can be.
	n := binary.BigEndian.Uint32(head[4:])
	if uint64(n)+headLen+crcLen > uint64(limit) {
		return 0, nil, fmt.Errorf("teltonika: data field of %d bytes, the packet's limit is %d: %w",
			n, limit, codec.ErrProtocol)
	}
	if known < headLen {
		return 0, nil, nil
	}
	if n < minData {
		return 0, nil, fmt.Errorf("teltonika: data field of %d bytes, at least %d: %w", n, minData, codec.ErrProtocol)
	}
	size := headLen + int(n) + crcLen
	if len(data) < size {
		return 0, nil, nil
	}
	return size, data[:size], nil
}

// digits reports whether b holds ASCII digits only.
func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
