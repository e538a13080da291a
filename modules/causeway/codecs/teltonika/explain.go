package teltonika

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// explanation collects fields while it walks a frame.
type explanation struct {
	frame  []byte
	at     int
	fields []codec.Field
}

// take names the next n bytes and steps over them; false means that they are not
// there.
func (x *explanation) take(n int, name string, value func([]byte) string) bool {
	if n < 0 || n > len(x.frame)-x.at {
		return false
	}
	b := x.frame[x.at : x.at+n]
	x.fields = append(x.fields, codec.Field{Offset: x.at, Len: n, Name: name, Value: value(b)})
	x.at += n
	return true
}

// Explain implements codec.Explainer.
func (d *stream) Explain(frame []byte) []codec.Field {
	x := &explanation{frame: frame}
	switch {
	case len(frame) == 1 && frame[0] == ping:
		x.take(1, "ping", hexed)
	case len(frame) > 2 && frame[0] == 0 && frame[1] != 0:
		_ = x.take(2, "length", number) && x.take(int(frame[1]), "imei", ascii)
	default:
		if !x.take(4, "preamble", hexed) || !x.take(4, "data length", number) {
			break
		}
		end := max(x.at, len(frame)-crcLen)
		d.explainData(x, end)
		x.at = max(x.at, end)
		want := d.crc.sum(frame[headLen:end])
		x.take(crcLen, "crc", func(b []byte) string {
			if binary.BigEndian.Uint32(b) == uint32(want) {
				return hexed(b) + " (good)"
			}
			return fmt.Sprintf("%s (computed %08x)", hexed(b), want)
		})
	}
	return x.fields
}

// Explain implements codec.Explainer.
func (d *datagrams) Explain(frame []byte) []codec.Field {
	x := &explanation{frame: frame}
	if x.take(2, "length", number) && x.take(2, "packet id", hexed) && x.take(1, "not used", hexed) &&
		x.take(1, "avl packet id", number) && x.take(2, "imei length", number) &&
		x.take(int(binary.BigEndian.Uint16(frame[6:])), "imei", ascii) {
		d.explainData(x, len(frame))
	}
	return x.fields
}

// explainData names the data field, which ends at the offset end.
func (p *protocol) explainData(x *explanation, end int) {
	if end-x.at < minData {
		return
	}
	id, count := x.frame[x.at], int(x.frame[x.at+1])
	f, isAVL := avlFormat(id)
	x.take(1, "codec", func([]byte) string {
		if isAVL {
			return f.name
		}
		return strconv.Itoa(int(id))
	})
	x.take(1, "count", number)
	body := x.frame[x.at : end-1]
	if isAVL {
		p.explainRecords(x, f, body, count)
	} else if id >= codec12 && id <= codec15 {
		explainTexts(x, id, body, count)
	}
	x.at = end - 1
	x.take(1, "count", number)
}

// explainRecords names the records as far as they can be read.
func (p *protocol) explainRecords(x *explanation, f format, body []byte, count int) {
	for i := range count {
		r, err := readRecord(f, body)
		if err != nil {
			return
		}
		prefix := fmt.Sprintf("record %d ", i+1)
		start, all := x.at, len(body)
		x.take(8, prefix+"timestamp", func([]byte) string {
			if r.at > maxMillis {
				return strconv.FormatUint(r.at, 10)
			}
			return string(appendTime(nil, r.at))
		})
		x.take(1, prefix+"priority", func([]byte) string { return priorityName(r.priority) })
		x.take(4, prefix+"longitude", func([]byte) string { return degrees(r.longitude) })
		x.take(4, prefix+"latitude", func([]byte) string { return degrees(r.latitude) })
		x.take(2, prefix+"altitude", func([]byte) string { return fmt.Sprintf("%d m", r.altitude) })
		x.take(2, prefix+"angle", func([]byte) string { return fmt.Sprintf("%d°", r.angle) })
		x.take(1, prefix+"satellites", number)
		x.take(2, prefix+"speed", func([]byte) string { return fmt.Sprintf("%d km/h", r.speed) })
		ids := 1
		if f.wideIDs {
			ids = 2
		}
		x.take(ids, prefix+"event", number)
		if f.generation {
			x.take(1, prefix+"generation", func([]byte) string { return generationName(r.generation) })
		}
		for {
			it, more, err := r.elements.next()
			if err != nil {
				return
			}
			if !more {
				break
			}
			x.at = start + all - len(r.elements.rest) - len(it.value)
			p.explainElement(x, prefix, it)
		}
		x.at = start + all - len(r.elements.rest)
		body = r.elements.rest
	}
}

// explainElement names one value; the name tells the id, the value its unit.
func (p *protocol) explainElement(x *explanation, prefix string, it item) {
	k := p.avl.match(it)
	name := fmt.Sprintf("%savl %d", prefix, it.id)
	if k != nil {
		name += " " + k.name
	}
	x.take(len(it.value), name, func(b []byte) string {
		if k == nil {
			return hexed(b)
		}
		v := string(k.appendValue(nil, b))
		if k.unit != "" {
			v += " " + k.unit
		}
		return v
	})
}

// explainTexts names the entries as far as they can be read.
func explainTexts(x *explanation, id byte, body []byte, count int) {
	for i := range count {
		t, rest, err := readText(id, body)
		if err != nil {
			return
		}
		prefix := fmt.Sprintf("text %d ", i+1)
		x.take(1, prefix+"type", number)
		x.take(4, prefix+"size", number)
		if t.timed {
			x.take(4, prefix+"timestamp", func([]byte) string { return string(appendTime(nil, uint64(t.seconds)*1000)) })
		}
		if t.imei != "" {
			x.take(8, prefix+"imei", func([]byte) string { return t.imei })
		}
		x.take(len(t.data), prefix+"content", ascii)
		body = rest
	}
}

func hexed(b []byte) string { return hex.EncodeToString(b) }

func number(b []byte) string { return strconv.FormatUint(unsigned(b), 10) }

// ascii shows text as such, and anything else as hexadecimal digits.
func ascii(b []byte) string {
	if !utf8.Valid(b) {
		return hexed(b)
	}
	return string(b)
}

func degrees(n int32) string { return string(appendSigned(nil, int64(n), 1, 7)) + "°" }
