package payload

import "fmt"

// Kind is what devices speak.
type Kind string

// The kinds.
const (
	// Lines are JSON documents of 120 bytes with their line feed.
	Lines Kind = "lines"
	// Prefixed are the same documents behind a length of two bytes, big endian.
	Prefixed Kind = "prefixed"
	// Datagrams are the same documents, one in each.
	Datagrams Kind = "datagrams"
	// Teltonika are Codec 8 packets of [PacketRecords] records after a login.
	Teltonika Kind = "teltonika"
)

// ParseKind reads a kind's name.
func ParseKind(name string) (Kind, error) {
	switch k := Kind(name); k {
	case Lines, Prefixed, Datagrams, Teltonika:
		return k, nil
	}
	return "", fmt.Errorf("kind %q must be %s, %s, %s or %s", name, Lines, Prefixed, Datagrams, Teltonika)
}

// Source makes the messages of one connection. It is not safe for concurrent use.
type Source struct {
	kind Kind
	ids  []string
	next []uint32 // by device: the number of its next message
	turn int
}

// NewSource returns a source for the devices first to first+devices-1, which take turns.
// Teltonika trackers have a connection each: there devices must be 1.
func NewSource(kind Kind, first, devices int) *Source {
	s := &Source{kind: kind, next: make([]uint32, devices)}
	for i := range devices {
		if kind == Teltonika {
			s.ids = append(s.ids, imei(first+i))
		} else {
			s.ids = append(s.ids, lineID(first+i))
		}
	}
	return s
}

// Append appends n messages that leave at now (Unix nanoseconds). Teltonika records come in
// packets of [PacketRecords], of which n is a multiple.
func (s *Source) Append(dst []byte, n int, now int64) []byte {
	if s.kind == Teltonika {
		for range n / PacketRecords {
			dst = appendPacket(dst, s.next[0], now)
			s.next[0] += PacketRecords
		}
		return dst
	}
	for range n {
		i := s.turn
		if s.turn++; s.turn == len(s.ids) {
			s.turn = 0
		}
		switch s.kind {
		case Prefixed:
			dst = append(dst, 0, lineSize-1)
			dst = appendDocument(dst, s.ids[i], s.next[i], now)
		case Datagrams:
			dst = appendDocument(dst, s.ids[i], s.next[i], now)
		default:
			dst = appendDocument(dst, s.ids[i], s.next[i], now)
			dst = append(dst, '\n')
		}
		s.next[i]++
	}
	return dst
}

// Sent is how many messages have been made.
func (s *Source) Sent() (n uint64) {
	for _, next := range s.next {
		n += uint64(next)
	}
	return n
}
