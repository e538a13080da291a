package teltonika

import (
	"encoding/binary"
	"fmt"
)

// Degrees of certainty of Identify: what a chance match of so many bits leaves.
const (
	surePacket = 99 // a check sum that is right
	sureLogin  = 95 // an IMEI with its check digit, or a whole UDP header
	likely     = 80 // the same, cut off or without check digit
	perhaps    = 40 // a head that fits
	pings      = 5  // a single byte
)

// Identify implements codec.Identifier.
func (p *protocol) Identify(data []byte) (confidence int, reason string) {
	switch {
	case len(data) > 0 && data[0] == ping:
		for _, b := range data {
			if b != ping {
				return 0, ""
			}
		}
		return pings, "only bytes FF, which keep a connection alive"
	case len(data) > 2 && data[0] == 0 && data[1] != 0:
		if n := int(data[1]); n >= 15 && n <= maxIMEI && digits(data[2:min(len(data), 2+n)]) {
			return identifyLogin(data[2:], n)
		}
		return identifyDatagram(data)
	case len(data) > headLen && binary.BigEndian.Uint32(data) == 0:
		return p.identifyPacket(data)
	}
	return 0, ""
}

func identifyLogin(rest []byte, n int) (int, string) {
	switch {
	case len(rest) < n:
		return likely, "begins a login, a count and the digits of an IMEI"
	case luhn(rest[:n]):
		return sureLogin, fmt.Sprintf("login of IMEI %s, whose check digit is right", rest[:n])
	}
	return likely, fmt.Sprintf("login of %s, an IMEI but for its check digit", rest[:n])
}

// knownCodec tells whether the id is that of a codec that is read here.
func knownCodec(id byte) bool {
	_, avl := avlFormat(id)
	return avl || id >= codec12 && id <= codec15
}

func (p *protocol) identifyPacket(data []byte) (int, string) {
	n := uint64(binary.BigEndian.Uint32(data[4:]))
	if n < minData || n+headLen+crcLen > uint64(p.options.MaxPacket) || !knownCodec(data[headLen]) {
		return 0, ""
	}
	if uint64(len(data)) < n+headLen+crcLen {
		return perhaps, fmt.Sprintf("begins a packet of codec %d", data[headLen])
	}
	body, sum := data[headLen:headLen+n], binary.BigEndian.Uint32(data[headLen+n:])
	switch {
	case sum == uint32(p.crc.sum(body)):
		return surePacket, fmt.Sprintf("packet of codec %d, whose check sum is right", data[headLen])
	case body[1] == body[n-1]:
		return perhaps, fmt.Sprintf("packet of codec %d, whose check sum is wrong", data[headLen])
	}
	return 0, ""
}

// identifyDatagram looks for the header of UDP: length, id, 01, number, IMEI.
func identifyDatagram(data []byte) (int, string) {
	const imeiAt = 8
	if len(data) < imeiAt+1 || data[4] != 1 {
		return 0, ""
	}
	n := int(binary.BigEndian.Uint16(data[6:]))
	if n < 15 || n > maxIMEI || !digits(data[imeiAt:min(len(data), imeiAt+n)]) {
		return 0, ""
	}
	if int(binary.BigEndian.Uint16(data)) != len(data)-2 || len(data) < imeiAt+n+1 {
		return perhaps, "the header of a datagram with another length"
	}
	if !knownCodec(data[imeiAt+n]) {
		return perhaps, "the header of a datagram with an unknown codec"
	}
	return sureLogin, fmt.Sprintf("datagram of IMEI %s, codec %d", data[imeiAt:imeiAt+n], data[imeiAt+n])
}
