package layout

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// algorithm computes a check sum.
type algorithm struct {
	// bits is the width of the sum.
	bits int
	sum  func([]byte) uint64
}

// crcModel is a CRC in the terms of the catalogue of parametrised CRC algorithms.
type crcModel struct {
	width      int
	poly, init uint64
	reflect    bool
	xorOut     uint64
	// check is the sum of the digits 1 to 9, for the tests.
	check uint64
	// names are the catalogue's and the usual others.
	names string
}

// crcModels are the CRCs that devices use; reflect stands for both refin and refout,
// which are the same in each of them.
var crcModels = [...]crcModel{
	{8, 0x07, 0x00, false, 0x00, 0xf4, "crc-8/smbus crc-8 crc8"},
	{8, 0x31, 0x00, true, 0x00, 0xa1, "crc-8/maxim-dow crc-8/maxim crc8-maxim"},
	{8, 0x2f, 0xff, false, 0xff, 0xdf, "crc-8/autosar crc8-autosar"},
	{8, 0x1d, 0xff, false, 0xff, 0x4b, "crc-8/sae-j1850 crc8-j1850"},
	{8, 0x31, 0xff, false, 0x00, 0xf7, "crc-8/nrsc-5 crc8-nrsc-5"},
	{8, 0x9b, 0x00, true, 0x00, 0x25, "crc-8/wcdma crc8-wcdma"},
	{16, 0x8005, 0x0000, true, 0x0000, 0xbb3d, "crc-16/arc crc-16/ibm crc16-arc crc16-ibm crc16"},
	{16, 0x8005, 0xffff, true, 0x0000, 0x4b37, "crc-16/modbus crc16-modbus"},
	{16, 0x8005, 0xffff, true, 0xffff, 0xb4c8, "crc-16/usb crc16-usb"},
	{16, 0x8005, 0x0000, true, 0xffff, 0x44c2, "crc-16/maxim-dow crc16-maxim"},
	{16, 0x8005, 0x0000, false, 0x0000, 0xfee8, "crc-16/umts crc16-buypass"},
	{16, 0x1021, 0xffff, false, 0x0000, 0x29b1, "crc-16/ibm-3740 crc-16/ccitt-false crc16-ccitt-false"},
	{16, 0x1021, 0xffff, true, 0xffff, 0x906e, "crc-16/ibm-sdlc crc-16/x-25 crc16-x25"},
	{16, 0x1021, 0x0000, false, 0x0000, 0x31c3, "crc-16/xmodem crc16-xmodem"},
	{16, 0x1021, 0x0000, true, 0x0000, 0x2189, "crc-16/kermit crc-16/ccitt crc16-kermit crc16-ccitt"},
	{16, 0x1021, 0xffff, true, 0x0000, 0x6f91, "crc-16/mcrf4xx crc16-mcrf4xx"},
	{16, 0x1021, 0xffff, false, 0xffff, 0xd64e, "crc-16/genibus crc16-genibus"},
	{16, 0x1021, 0x1d0f, false, 0x0000, 0xe5cc, "crc-16/spi-fujitsu crc-16/aug-ccitt crc16-aug-ccitt"},
	{16, 0x3d65, 0x0000, true, 0xffff, 0xea82, "crc-16/dnp crc16-dnp"},
	{16, 0x3d65, 0x0000, false, 0xffff, 0xc2b7, "crc-16/en-13757 crc16-en-13757"},
	{24, 0x864cfb, 0xb704ce, false, 0x000000, 0x21cf02, "crc-24/openpgp crc24"},
	{32, 0x04c11db7, 0xffffffff, true, 0xffffffff, 0xcbf43926, "crc-32/iso-hdlc crc-32 crc32"},
	{32, 0x1edc6f41, 0xffffffff, true, 0xffffffff, 0xe3069283, "crc-32/iscsi crc32c"},
	{32, 0x04c11db7, 0xffffffff, false, 0x00000000, 0x0376e6e7, "crc-32/mpeg-2 crc32-mpeg-2"},
	{32, 0x04c11db7, 0xffffffff, false, 0xffffffff, 0xfc891918, "crc-32/bzip2 crc32-bzip2"},
}

// algorithmNames are the first names of all check sums, for errors.
func algorithmNames() string {
	names := []string{"xor", "sum8", "sum16", "neg8", "fletcher16", "lrc"}
	for _, m := range crcModels {
		names = append(names, strings.Fields(m.names)[0])
	}
	return strings.Join(names, ", ")
}

// algorithmOf returns the check sum of a name.
func algorithmOf(name string) (algorithm, bool) {
	switch name {
	case "xor":
		return algorithm{8, xor}, true
	case "sum8":
		return algorithm{8, func(b []byte) uint64 { return sum(b) & 0xff }}, true
	case "sum16":
		return algorithm{16, func(b []byte) uint64 { return sum(b) & 0xffff }}, true
	case "neg8", "lrc": // the sum of all bytes, this one with them, is 0
		return algorithm{8, func(b []byte) uint64 { return -sum(b) & 0xff }}, true
	case "fletcher16":
		return algorithm{16, fletcher16}, true
	}
	for i := range crcModels {
		if slices.Contains(strings.Fields(crcModels[i].names), name) {
			return crcModels[i].algorithm(), true
		}
	}
	return algorithm{}, false
}

func xor(b []byte) uint64 {
	var x uint64
	for ; len(b) >= 8; b = b[8:] {
		x ^= binary.LittleEndian.Uint64(b)
	}
	x ^= x >> 32
	if len(b) >= 4 {
		x ^= uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	x ^= x >> 16
	x ^= x >> 8
	for _, c := range b {
		x ^= uint64(c)
	}
	return x & 0xff
}

func sum(b []byte) uint64 {
	var s uint64
	for _, c := range b {
		s += uint64(c)
	}
	return s
}

// fletcher16 is that of RFC 1146 with the modulus 255; the second sum is the high byte.
func fletcher16(b []byte) uint64 {
	var low, high uint64
	for _, c := range b {
		low = (low + uint64(c)) % 255
		high = (high + low) % 255
	}
	return high<<8 | low
}

// algorithm makes the tables of a CRC: four bytes a step where it is reflected.
func (m crcModel) algorithm() algorithm {
	shift := 64 - m.width
	var table [4][256]uint64
	for i := range 256 {
		v := uint64(i)
		if m.reflect {
			poly := bits.Reverse64(m.poly << shift)
			for range 8 {
				v = v>>1 ^ poly*(v&1)
			}
		} else {
			v <<= 56
			for range 8 {
				v = v<<1 ^ m.poly<<shift*(v>>63)
			}
		}
		table[0][i] = v
	}
	for i := range 256 {
		for k := 1; k < 4; k++ {
			prev := table[k-1][i]
			table[k][i] = prev>>8 ^ table[0][prev&0xff]
		}
	}
	if m.reflect {
		start := bits.Reverse64(m.init << shift)
		return algorithm{m.width, func(b []byte) uint64 {
			crc := start
			for ; len(b) >= 4; b = b[4:] {
				x := crc ^ (uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24)
				crc = x>>32 ^ table[3][x&0xff] ^ table[2][x>>8&0xff] ^ table[1][x>>16&0xff] ^ table[0][x>>24&0xff]
			}
			for _, c := range b {
				crc = crc>>8 ^ table[0][byte(crc)^c]
			}
			return crc ^ m.xorOut
		}}
	}
	start := m.init << shift
	return algorithm{m.width, func(b []byte) uint64 {
		crc := start
		for _, c := range b {
			crc = crc<<8 ^ table[0][byte(crc>>56)^c]
		}
		return crc>>shift ^ m.xorOut
	}}
}

// place is where a range begins or ends: a field, or a number of bytes from the
// start or, below zero, from the end of the frame.
type place struct {
	field *field
	// behind counts from the field's end.
	behind  bool
	at      int
	fromEnd bool
}

func (p place) of(r *run) int {
	switch {
	case p.field != nil && p.behind:
		return r.cells[p.field.slot].off + r.cells[p.field.slot].len
	case p.field != nil:
		return r.cells[p.field.slot].off
	case p.fromEnd:
		return len(r.frame) - p.at
	}
	return p.at
}

// checksumStep compares a field that was read with the sum of a range.
type checksumStep struct {
	f        *field
	sum      algorithm
	from, to place
}

func (s *checksumStep) decode(r *run) error {
	from, to := s.from.of(r), s.to.of(r)
	if from < 0 || to > len(r.frame) || from > to {
		return r.malformed("%s is over bytes %d to %d of %d", s.f.label(), from, to, len(r.frame))
	}
	if err := r.spend(to - from); err != nil {
		return err
	}
	c := &r.cells[s.f.slot]
	if want := s.sum.sum(r.frame[from:to]); uint64(c.n) != want {
		return r.malformed("%s is 0x%x at offset %d, want 0x%x", s.f.label(), c.n, c.off, want)
	}
	return nil
}
