package teltonika

import (
	"encoding/binary"
	"strconv"
)

// appendRecord appends the record as a JSON object and returns what follows the
// record in its packet.
func (p *protocol) appendRecord(b []byte, r *record) (body, rest []byte, err error) {
	b = append(b, `{"timestamp":`...)
	if r.at <= maxMillis {
		b = append(b, '"')
		b = appendTime(b, r.at)
		b = append(b, '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"priority":"`...)
	b = append(b, priorityName(r.priority)...)
	b = append(b, `","position":{"longitude":`...)
	b = appendSigned(b, int64(r.longitude), 1, 7)
	b = append(b, `,"latitude":`...)
	b = appendSigned(b, int64(r.latitude), 1, 7)
	b = append(b, `,"altitude":`...)
	b = strconv.AppendInt(b, int64(r.altitude), 10)
	b = append(b, `,"angle":`...)
	b = strconv.AppendUint(b, uint64(r.angle), 10)
	b = append(b, `,"satellites":`...)
	b = strconv.AppendUint(b, uint64(r.satellites), 10)
	b = append(b, `,"speed":`...)
	b = strconv.AppendUint(b, uint64(r.speed), 10)
	b = append(b, `},"event":`...)
	b = strconv.AppendUint(b, uint64(r.event), 10)
	if known := p.avl.find(r.event); known != nil {
		b = append(b, `,"eventName":"`...)
		b = append(b, known.name...)
		b = append(b, '"')
	}
	if r.hasGeneration {
		b = append(b, `,"generation":"`...)
		b = append(b, generationName(r.generation)...)
		b = append(b, '"')
	}
	return p.appendElements(b, r.elements)
}

// appendElements appends the elements, their units where asked for, and the end
// of the record.
func (p *protocol) appendElements(b []byte, e elements) (body, rest []byte, err error) {
	again := e
	b = append(b, `,"io":{`...)
	start := len(b)
	for {
		id, value, more, err := e.next()
		if err != nil {
			return nil, nil, err
		}
		if !more {
			break
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = p.appendElement(b, id, value)
	}
	b = append(b, '}')
	if p.options.Units && p.options.Names == "name" {
		b = p.appendUnits(b, again)
	}
	return append(b, '}'), e.rest, nil
}

// appendElement appends one member of the io object.
func (p *protocol) appendElement(b []byte, id uint16, value []byte) []byte {
	if p.options.Names == "name" {
		if known := p.avl.match(id, value); known != nil {
			b = append(b, known.key...)
			return known.appendValue(b, value)
		}
	}
	b = append(b, `"avl_`...)
	b = strconv.AppendUint(b, uint64(id), 10)
	b = append(b, `":`...)
	switch len(value) {
	case 1, 2, 4:
		return strconv.AppendUint(b, unsigned(value), 10)
	}
	return appendHex(b, value)
}

// appendUnits appends the units of those elements that have one. The elements
// have been walked before, so there are no errors left.
func (p *protocol) appendUnits(b []byte, e elements) []byte {
	b = append(b, `,"units":{`...)
	start := len(b)
	for {
		id, value, more, err := e.next()
		if err != nil || !more {
			return append(b, '}')
		}
		known := p.avl.match(id, value)
		if known == nil || known.unit == "" {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, known.key...)
		b = appendString(b, known.unit)
	}
}

// appendValue appends a value of this property, scaled to its unit.
func (k *known) appendValue(b, value []byte) []byte {
	switch k.kind {
	case kindHex:
		return appendHex(b, value)
	case kindASCII:
		return appendASCII(b, value)
	case kindSigned:
		return appendSigned(b, signed(value), k.mul, k.decimals)
	}
	return appendUnsigned(b, unsigned(value), k.mul, k.decimals)
}

// unsigned reads a value of one to eight bytes.
func unsigned(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// signed reads a two's complement value of one to eight bytes.
func signed(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	shift := 64 - 8*min(len(b), 8)
	return int64(unsigned(b)<<shift) >> shift
}
