package teltonika

import (
	"encoding/binary"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Codec ids, the first byte of the data field.
const (
	codec8         = 0x08
	codec8Extended = 0x8E
	codec16        = 0x10
)

// format is how one of the record codecs writes a record.
type format struct {
	name string
	// wideIDs: element and event ids have two bytes instead of one.
	wideIDs bool
	// wideCounts: the counts of elements have two bytes instead of one.
	wideCounts bool
	// generation: a byte behind the event id says why the record was made.
	generation bool
	// variable: a last group holds elements that carry their own length.
	variable bool
}

// avlFormat returns the format of a codec id that carries records.
func avlFormat(id byte) (format, bool) {
	switch id {
	case codec8:
		return format{name: "8"}, true
	case codec8Extended:
		return format{name: "8E", wideIDs: true, wideCounts: true, variable: true}, true
	case codec16:
		return format{name: "16", wideIDs: true, generation: true}, true
	}
	return format{}, false
}

// batch is a data field: codec id, count, records or texts, count.
type batch struct {
	data   []byte
	badCRC bool
}

// counted returns what lies between the counts, which must be equal.
func (s batch) counted() ([]byte, error) {
	last := len(s.data) - 1
	if s.data[1] != s.data[last] {
		return nil, fmt.Errorf("teltonika: codec 0x%02X: count %d before the records, %d behind: %w",
			s.data[0], s.data[1], s.data[last], codec.ErrMalformed)
	}
	return s.data[2:last], nil
}

// record is one AVL record as sent, before names and scales.
type record struct {
	// at is milliseconds since 1970.
	at       uint64
	priority byte
	// longitude and latitude are in units of 1e-7 degrees.
	longitude, latitude int32
	// altitude is in metres, angle in degrees from north, speed in km/h.
	altitude      int16
	angle         uint16
	satellites    byte
	speed         uint16
	event         uint16
	generation    byte
	hasGeneration bool
	// elements stands before the first element.
	elements elements
}

// recordHead is the part of a record before its event id.
const recordHead = 24

// readRecord takes the head of a record off b; the elements remain.
func readRecord(f format, b []byte) (record, error) {
	if len(b) < recordHead {
		return record{}, fmt.Errorf("teltonika: codec %s: record of %d bytes, at least %d: %w",
			f.name, len(b), recordHead, codec.ErrMalformed)
	}
	r := record{
		at:         binary.BigEndian.Uint64(b),
		priority:   b[8],
		longitude:  int32(binary.BigEndian.Uint32(b[9:])),
		latitude:   int32(binary.BigEndian.Uint32(b[13:])),
		altitude:   int16(binary.BigEndian.Uint16(b[17:])),
		angle:      binary.BigEndian.Uint16(b[19:]),
		satellites: b[21],
		speed:      binary.BigEndian.Uint16(b[22:]),
	}
	e := elements{format: f, rest: b[recordHead:]}
	var err error
	if r.event, err = e.number(f.wideIDs); err != nil {
		return record{}, err
	}
	if f.generation {
		g, err := e.number(false)
		if err != nil {
			return record{}, err
		}
		r.generation, r.hasGeneration = byte(g), true
	}
	total, err := e.number(f.wideCounts)
	if err != nil {
		return record{}, err
	}
	e.missing = int(total)
	r.elements = e
	return r, nil
}

// elements walks the I/O elements of one record. It is a value: a copy walks
// them again.
type elements struct {
	format format
	rest   []byte
	// group counts the groups begun; left, the elements left in the current one.
	group, left int
	width       int
	// missing is how many elements of the record's total have not been announced.
	missing int
}

// variable is the width of elements that carry their own length.
const variable = 0

// item is one element as sent.
type item struct {
	id uint16
	// value borrows the frame.
	value []byte
	// long: it comes from the group whose elements carry their length.
	long bool
}

// next returns the next element, and false behind the last.
func (e *elements) next() (it item, more bool, err error) {
	for e.left == 0 {
		more, err = e.begin()
		if !more {
			return item{}, false, err
		}
	}
	e.left--
	if it.id, err = e.number(e.format.wideIDs); err != nil {
		return item{}, false, err
	}
	width := e.width
	if width == variable {
		n, err := e.number(true)
		if err != nil {
			return item{}, false, err
		}
		width, it.long = int(n), true
	}
	if width > len(e.rest) {
		return item{}, false, e.short()
	}
	it.value, e.rest = e.rest[:width:width], e.rest[width:]
	return it, true, nil
}

// begin reads the count of the next group; false means that there is none.
func (e *elements) begin() (bool, error) {
	switch {
	case e.group < 4:
		e.width = 1 << e.group
	case e.group == 4 && e.format.variable:
		e.width = variable
	case e.group == 4 && e.missing > 0:
		// Some firmwares send identifiers of 16 bytes in a fifth group of Codec 8,
		// and only the record's total tells.
		e.width = 16
	case e.missing != 0:
		return false, fmt.Errorf("teltonika: codec %s: count of elements and their groups differ by %d: %w",
			e.format.name, e.missing, codec.ErrMalformed)
	default:
		return false, nil
	}
	e.group++
	n, err := e.number(e.format.wideCounts)
	if err != nil {
		return false, err
	}
	e.left = int(n)
	e.missing -= e.left
	return true, nil
}

// number takes one or two bytes off.
func (e *elements) number(wide bool) (uint16, error) {
	if wide {
		if len(e.rest) < 2 {
			return 0, e.short()
		}
		n := binary.BigEndian.Uint16(e.rest)
		e.rest = e.rest[2:]
		return n, nil
	}
	if len(e.rest) == 0 {
		return 0, e.short()
	}
	n := e.rest[0]
	e.rest = e.rest[1:]
	return uint16(n), nil
}

func (e *elements) short() error {
	return fmt.Errorf("teltonika: codec %s: record ends within its elements: %w", e.format.name, codec.ErrMalformed)
}
