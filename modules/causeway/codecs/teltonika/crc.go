package teltonika

import "encoding/binary"

// crcTable computes CRC-16/IBM (polynomial 0x8005 reflected, start 0, no final
// inversion) eight bytes a step: the check sum runs over every byte of every
// packet, and byte by byte it would cost as much as the decoding.
type crcTable [8][256]uint16

// newCRCTable fills the tables; row k is the effect of a byte that is followed by
// k zero bytes.
func newCRCTable() *crcTable {
	var t crcTable
	for i := range 256 {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		t[0][i] = crc
	}
	for i := range 256 {
		for k := 1; k < 8; k++ {
			prev := t[k-1][i]
			t[k][i] = prev>>8 ^ t[0][prev&0xFF]
		}
	}
	return &t
}

// sum returns the check sum of b.
func (t *crcTable) sum(b []byte) uint16 {
	var crc uint16
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b) ^ uint64(crc)
		crc = t[7][x&0xFF] ^ t[6][x>>8&0xFF] ^ t[5][x>>16&0xFF] ^ t[4][x>>24&0xFF] ^
			t[3][x>>32&0xFF] ^ t[2][x>>40&0xFF] ^ t[1][x>>48&0xFF] ^ t[0][x>>56]
		b = b[8:]
	}
	for _, c := range b {
		crc = crc>>8 ^ t[0][byte(crc)^c]
	}
	return crc
}
