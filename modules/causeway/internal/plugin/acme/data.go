package acme

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// The bits of a record's flags.
const (
	door   = 1 << 0
	motion = 1 << 1
)

func (d *link) data(body []byte, out *codec.Outcome) error {
	if !d.known {
		return fmt.Errorf("data before login: %w", codec.ErrProtocol)
	}
	if len(body) < 3 || len(body) != 3+int(body[2])*recordSize {
		return fmt.Errorf("data of %d bytes: %w", len(body), codec.ErrMalformed)
	}
	sequence := binary.BigEndian.Uint16(body)
	for r := body[3:]; len(r) > 0; r = r[recordSize:] {
		record(r, sequence, out)
	}
	out.Ack = seal(out, data|response, body[:2]...)
	return nil
}

// record makes a message of one record.
func record(r []byte, sequence uint16, out *codec.Outcome) {
	m := out.Add()
	m.ContentType, m.ContentEncoding = "application/json", "utf-8"
	m.Time = time.Unix(int64(binary.BigEndian.Uint32(r)), 0).UTC()
	flags := r[8]
	kind := "reading"
	if flags&motion != 0 {
		kind = "alarm"
	}
	m.Set("kind", kind)

	at := len(out.Scratch)
	b := append(out.Scratch, `{"seq":`...)
	b = strconv.AppendUint(b, uint64(sequence), 10)
	b = append(b, `,"temperature":`...)
	b = strconv.AppendFloat(b, float64(int16(binary.BigEndian.Uint16(r[4:])))/10, 'f', 1, 64)
	b = append(b, `,"battery":`...)
	b = strconv.AppendFloat(b, float64(binary.BigEndian.Uint16(r[6:]))/1000, 'f', -1, 64)
	b = append(b, `,"door":`...)
	b = strconv.AppendBool(b, flags&door != 0)
	b = append(b, `,"motion":`...)
	b = strconv.AppendBool(b, flags&motion != 0)
	out.Scratch = append(b, '}')
	m.Body = out.Scratch[at:len(out.Scratch):len(out.Scratch)]
}
