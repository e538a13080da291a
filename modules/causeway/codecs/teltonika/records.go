package teltonika

import (
	"fmt"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	contentType     = "application/json"
	contentEncoding = "utf-8"
)

// maxMillis is the last millisecond of the year 9999: what lies behind it is no
// RFC 3339 timestamp, and comes from a device whose clock is broken.
const maxMillis = 253402300799999

// records turns the records of a data field into messages: one for each record,
// or one for all, as configured.
func (p *protocol) records(f format, s batch, out *codec.Outcome) error {
	b, err := s.counted()
	if err != nil {
		return err
	}
	n := int(s.data[1])
	whole := p.options.Body == "packet"
	if whole {
		b, err = p.wholePacket(f, s, b, n, out)
	} else {
		for i := 0; i < n && err == nil; i++ {
			b, err = p.oneRecord(f, s, b, out)
		}
	}
	if err != nil {
		return err
	}
	if len(b) != 0 {
		return fmt.Errorf("teltonika: codec %s: %d bytes behind the last of %d records: %w",
			f.name, len(b), n, codec.ErrMalformed)
	}
	return nil
}

// oneRecord appends a message for the record at the head of b and returns what
// follows the record.
func (p *protocol) oneRecord(f format, s batch, b []byte, out *codec.Outcome) ([]byte, error) {
	r, err := readRecord(f, b)
	if err != nil {
		return nil, err
	}
	at := len(out.Scratch)
	body, rest, err := p.appendRecord(out.Scratch, &r)
	if err != nil {
		return nil, err
	}
	out.Scratch = body
	m := out.Add()
	m.Body = body[at:len(body):len(body)]
	p.describe(m, f, s, &r)
	return rest, nil
}

// wholePacket appends one message for all records of the packet; its time,
// priority and event are those of the newest record of the highest priority.
func (p *protocol) wholePacket(f format, s batch, b []byte, n int, out *codec.Outcome) ([]byte, error) {
	at := len(out.Scratch)
	body := append(out.Scratch, `{"codec":"`...)
	body = append(body, f.name...)
	body = append(body, `","records":[`...)
	var head record
	for i := range n {
		r, err := readRecord(f, b)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			body = append(body, ',')
		}
		if body, b, err = p.appendRecord(body, &r); err != nil {
			return nil, err
		}
		if i == 0 || r.priority > head.priority || r.priority == head.priority && r.at >= head.at {
			head = r
		}
	}
	body = append(body, `]}`...)
	out.Scratch = body
	if n == 0 {
		return b, nil
	}
	m := out.Add()
	m.Body = body[at:len(body):len(body)]
	p.describe(m, f, s, &head)
	return b, nil
}

// describe sets what the hub sees without opening the body.
func (p *protocol) describe(m *codec.Message, f format, s batch, r *record) {
	m.ContentType, m.ContentEncoding = contentType, contentEncoding
	if r.at <= maxMillis {
		m.Time = time.UnixMilli(int64(r.at)).UTC()
	}
	m.Set("kind", "avl")
	m.Set("avlCodec", f.name)
	m.Set("priority", priorityName(r.priority))
	m.Set("event", p.eventText(r.event))
	if s.badCRC {
		m.Set("crc", "bad")
	}
}

// eventText returns the decimal id, for known events without an allocation.
func (p *protocol) eventText(id uint16) string {
	if known := p.avl.find(id); known != nil {
		return known.text
	}
	return strconv.Itoa(int(id))
}

// priorityName names the priorities of the specification.
func priorityName(p byte) string {
	switch p {
	case 0:
		return "low"
	case 1:
		return "high"
	case 2:
		return "panic"
	}
	return "other"
}

// generationName names the causes that Codec 16 gives for a record.
func generationName(g byte) string {
	switch g {
	case 0:
		return "onExit"
	case 1:
		return "onEntrance"
	case 2:
		return "onBoth"
	case 3:
		return "reserved"
	case 4:
		return "hysteresis"
	case 5:
		return "onChange"
	case 6:
		return "eventual"
	case 7:
		return "periodical"
	}
	return "unknown"
}
