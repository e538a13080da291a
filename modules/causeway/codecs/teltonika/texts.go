package teltonika

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Codec ids that carry commands, answers and texts.
const (
	codec12 = 0x0C
	codec13 = 0x0D
	codec14 = 0x0E
	codec15 = 0x0F
)

// Types of a text.
const (
	typeCommand  = 0x05
	typeResponse = 0x06
	typeNack     = 0x11
)

// text is one entry of a Codec 12, 13, 14 or 15 packet.
type text struct {
	kind byte
	// seconds since 1970, where the codec carries them.
	seconds uint32
	timed   bool
	// imei is empty where the codec carries none.
	imei string
	data []byte
}

// texts decodes the entries of a data field. The first that can be the answer to
// the pending command is its result, the others are messages.
func (p *protocol) texts(s batch, waiting *pending, imei string, out *codec.Outcome) error {
	id := s.data[0]
	if id < codec12 || id > codec15 {
		return fmt.Errorf("teltonika: codec 0x%02X, known are 08, 8E, 10, 0C, 0D, 0E and 0F: %w",
			id, codec.ErrMalformed)
	}
	rest, err := s.counted()
	if err != nil {
		return err
	}
	for range s.data[1] {
		var t text
		if t, rest, err = readText(id, rest); err != nil {
			return err
		}
		if waiting != nil && waiting.answeredBy(id, t, imei) {
			out.Results = append(out.Results, waiting.finish(t))
			continue
		}
		addText(id, t, s, imei, out)
	}
	if len(rest) != 0 {
		return fmt.Errorf("teltonika: codec %d: %d bytes behind the last of %d texts: %w",
			id, len(rest), s.data[1], codec.ErrMalformed)
	}
	return nil
}

// readText takes one entry off b: type, size, then what the size counts: time,
// IMEI, text, as the codec has them.
func readText(id byte, b []byte) (text, []byte, error) {
	if len(b) < 5 {
		return text{}, nil, fmt.Errorf("teltonika: codec %d: text of %d bytes, at least 5: %w",
			id, len(b), codec.ErrMalformed)
	}
	t := text{kind: b[0]}
	size := binary.BigEndian.Uint32(b[1:])
	if uint64(size) > uint64(len(b)-5) {
		return text{}, nil, fmt.Errorf("teltonika: codec %d: text of %d bytes in %d: %w",
			id, size, len(b)-5, codec.ErrMalformed)
	}
	t.data, b = b[5:5+size], b[5+size:]
	if id == codec15 || id == codec13 && t.kind == typeResponse {
		if len(t.data) < 4 {
			return text{}, nil, fmt.Errorf("teltonika: codec %d: no timestamp: %w", id, codec.ErrMalformed)
		}
		t.seconds, t.timed = binary.BigEndian.Uint32(t.data), true
		t.data = t.data[4:]
	}
	if id == codec14 || id == codec15 {
		if len(t.data) < 8 {
			return text{}, nil, fmt.Errorf("teltonika: codec %d: no IMEI: %w", id, codec.ErrMalformed)
		}
		t.imei = packedIMEI(t.data[:8])
		t.data = t.data[8:]
	}
	return t, b, nil
}

// packedIMEI reads eight bytes of two digits each. An IMEI has fifteen digits, so
// a leading zero is filling.
func packedIMEI(b []byte) string {
	s := hex.EncodeToString(b)
	if s[0] == '0' {
		return s[1:]
	}
	return s
}

// addText makes a message of an entry that answers no command. Entries of the
// public types are text; what else a device sends is kept as hexadecimal digits.
func addText(id byte, t text, s batch, imei string, out *codec.Outcome) {
	m := out.Add()
	m.ContentType, m.ContentEncoding = contentType, contentEncoding
	at := len(out.Scratch)
	b := append(out.Scratch, '{')
	if t.timed {
		m.Time = time.Unix(int64(t.seconds), 0).UTC()
		b = append(b, `"timestamp":"`...)
		b = appendTime(b, uint64(t.seconds)*1000)
		b = append(b, `",`...)
	}
	if t.kind == typeResponse || id == codec15 {
		m.Set("kind", "text")
		b = appendText(b, `"text":`, t.data)
	} else {
		m.Set("kind", "data")
		b = append(b, `"type":`...)
		b = strconv.AppendUint(b, uint64(t.kind), 10)
		b = append(b, `,"data":`...)
		b = appendHex(b, t.data)
	}
	b = append(b, '}')
	out.Scratch = b
	m.Body = b[at:len(b):len(b)]
	m.Set("avlCodec", strconv.Itoa(int(id)))
	if t.imei != "" && t.imei != imei {
		m.Device = t.imei
	}
	if s.badCRC {
		m.Set("crc", "bad")
	}
}

// appendText appends what a device wrote as a member of a JSON object. Bytes that
// are no UTF-8, as from a binary serial port, stand besides under "hex".
func appendText(b []byte, member string, data []byte) []byte {
	b = append(b, member...)
	b = appendString(b, data)
	if !utf8.Valid(data) {
		b = append(b, `,"hex":`...)
		b = appendHex(b, data)
	}
	return b
}
