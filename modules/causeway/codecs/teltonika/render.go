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
	if r.hasGeneration {
		b = append(b, `,"generation":"`...)
		b = append(b, generationName(r.generation)...)
		b = append(b, '"')
	}
	return p.appendElements(b, r)
}

// appendElements appends the elements, the name of the one that is the event,
// their units where asked for, and the end of the record.
func (p *protocol) appendElements(b []byte, r *record) (body, rest []byte, err error) {
	e := r.elements
	var event *known
	b = append(b, `,"io":{`...)
	start := len(b)
	for {
		it, more, err := e.next()
		if err != nil {
			return nil, nil, err
		}
		if !more {
			break
		}
		if len(b) > start {
			b = append(b, ',')
		}
		k := p.name(it)
		b = appendElement(b, it, k)
		if it.id == r.event && k != nil {
			event = k
		}
	}
	b = append(b, '}')
	if event != nil {
		b = append(b, `,"eventName":"`...)
		b = append(b, event.name...)
		b = append(b, '"')
	}
	if p.options.Units {
		b = p.appendUnits(b, r.elements)
	}
	return append(b, '}'), e.rest, nil
}

// name returns the property of the element, or nil where it has none or names
// are not wanted.
func (p *protocol) name(it item) *known {
	if !p.named {
		return nil
	}
	return p.avl.match(it)
}

// appendElement appends one member of the io object. What is not known keeps its
// id and its raw value: a whole number, or hexadecimal digits from 8 bytes on,
// because those are identifiers and lose digits in JavaScript's numbers.
func appendElement(b []byte, it item, k *known) []byte {
	if k != nil {
		b = append(b, k.key...)
		return k.appendValue(b, it.value)
	}
	b = append(b, `"avl_`...)
	b = strconv.AppendUint(b, uint64(it.id), 10)
	b = append(b, `":`...)
	if it.long || len(it.value) > 4 {
		return appendHex(b, it.value)
	}
	return strconv.AppendUint(b, unsigned(it.value), 10)
}

// appendUnits appends the units of those elements that have one. The elements
// have been walked before, so there are no errors left.
func (p *protocol) appendUnits(b []byte, e elements) []byte {
	b = append(b, `,"units":{`...)
	start := len(b)
	for {
		it, more, err := e.next()
		if err != nil || !more {
			return append(b, '}')
		}
		k := p.name(it)
		if k == nil || k.unit == "" {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, k.key...)
		b = appendString(b, k.unit)
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
