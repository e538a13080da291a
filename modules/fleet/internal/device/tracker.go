package device

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"net"
	"strings"

	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

// TrackerOptions are those of a Teltonika tracker.
type TrackerOptions struct {
	// Codec is teltonika.Codec8 or teltonika.Codec8Extended.
	Codec byte
	// Records is the most records in one packet.
	Records int
	// Silent leaves commands unanswered.
	Silent bool
}

// NewTracker returns a tracker over TCP: login, one packet at a time, the next
// when the count of its records comes back.
func NewTracker(o Options, t TrackerOptions) *Device {
	d := newDevice("tracker", "tcp", o, min(t.Records, teltonika.MaxRecords), 1)
	d.dialect = &streamTracker{track: newTrack(o.ID, t.Codec, d.clock), silent: t.Silent, parameters: map[string]string{}}
	return d
}

// NewUDPTracker returns a tracker over UDP: each packet is sent again until it is
// acknowledged by its number.
func NewUDPTracker(o Options, t TrackerOptions) *Device {
	// A datagram of 1,400 bytes passes every network whole; a record is about 70.
	d := newDevice("udp-tracker", "udp", o, min(t.Records, 18), 1)
	d.numbered = true
	d.dialect = &datagramTracker{newTrack(o.ID, t.Codec, d.clock)}
	return d
}

// track makes the records of one tracker.
type track struct {
	imei       string
	codec      byte
	clock      *schedule
	home       uint32
	recordsBuf []teltonika.Record
}

func newTrack(imei string, codec byte, clock *schedule) track {
	h := fnv.New32a()
	h.Write([]byte(imei))
	return track{imei: imei, codec: codec, clock: clock, home: h.Sum32()}
}

// records makes the records of a packet: a drive to and fro somewhere in Europe.
func (t *track) records(p packet) []teltonika.Record {
	t.recordsBuf = t.recordsBuf[:0]
	for seq := p.from; seq < p.from+p.n; seq++ {
		way := int32(seq % 2000)
		angle := uint16(90)
		if way >= 1000 {
			way, angle = 2000-way, 270
		}
		t.recordsBuf = append(t.recordsBuf, teltonika.Record{
			Time:      t.clock.date(seq),
			Longitude: 50_000_000 + int32(t.home%200_000_000) + way*1500,
			Latitude:  450_000_000 + int32(t.home/7%100_000_000),
			Altitude:  120, Angle: angle, Satellites: byte(8 + seq%7), Speed: uint16(40 + seq%20),
			Sequence: uint32(seq),
		})
	}
	return t.recordsBuf
}

// streamTracker is the dialect over TCP.
type streamTracker struct {
	track
	silent     bool
	parameters map[string]string // what setparam set, since the device was made
}

func (t *streamTracker) hello(conn net.Conn, r *bufio.Reader) error {
	if _, err := conn.Write(teltonika.AppendLogin(nil, t.imei)); err != nil {
		return err
	}
	return teltonika.ReadLogin(r)
}

func (t *streamTracker) encode(dst []byte, p packet) []byte {
	return teltonika.AppendPacket(dst, t.codec, t.records(p))
}

func (t *streamTracker) names(uint64, packet) bool { return false }

func (t *streamTracker) next(r *bufio.Reader) (event, error) {
	records, command, err := teltonika.ReadServer(r)
	if err != nil {
		return event{}, err
	}
	if records > 0 {
		return event{kind: heardAck, records: uint64(records)}, nil
	}
	if t.silent {
		return event{kind: heardCommand}, nil
	}
	return event{kind: heardCommand, reply: teltonika.AppendAnswer(nil, t.answer(command))}, nil
}

// answer is what the tracker says to a command; the texts follow the public
// command list.
func (t *streamTracker) answer(command string) string {
	name, argument, _ := strings.Cut(strings.TrimSpace(command), " ")
	argument = strings.TrimSpace(argument)
	switch strings.ToLower(name) {
	case "getver":
		return "Ver:03.27.07_00 GPS:AXN_5.10_3333_16070400 Hw:FMB120 Mod:4 IMEI:" + t.imei +
			" Init:2026-1-1 0:00 Uptime:17233 BL:1.7 BT:4"
	case "getinfo":
		return "INI:2026/1/1 0:00 RTC:2026/1/1 4:47 RST:2 ERR:0 SR:0 BR:0 CF:0 FG:0 FL:0 TU:0/0 UT:0 SMS:0 " +
			"NOGPS:0:30 GPS:1 SAT:9 RS:3 RF:65 SF:1 MD:0"
	case "setparam":
		return t.setparam(argument)
	case "getparam":
		value, known := t.parameters[argument]
		if !known {
			return "Param ID:" + argument + " Value:0"
		}
		return "Param ID:" + argument + " Value:" + value
	}
	return fmt.Sprintf("Unknown command: %.64s", name)
}

// maxParameters bounds what setparam stores; a real device has about as many.
const maxParameters = 4096

func (t *streamTracker) setparam(list string) string {
	for part := range strings.SplitSeq(list, ";") {
		id, value, ok := strings.Cut(part, ":")
		if !ok || id == "" || strings.Trim(id, "0123456789") != "" {
			return "Wrong parameter: " + part
		}
		if len(t.parameters) < maxParameters {
			t.parameters[id] = value
		}
	}
	return "New value " + list
}

// datagramTracker is the dialect over UDP.
type datagramTracker struct{ track }

func (t *datagramTracker) hello(net.Conn, *bufio.Reader) error { return nil }

func (t *datagramTracker) encode(dst []byte, p packet) []byte {
	id, avl := packetIDs(p)
	return teltonika.AppendDatagram(dst, id, avl, t.imei, t.codec, t.records(p))
}

// packetIDs derives the numbers of a packet from its first message, so that a
// repeated packet has its old ones.
func packetIDs(p packet) (id uint16, avl byte) { return uint16(p.from), byte(p.from) }

func (t *datagramTracker) names(id uint64, p packet) bool {
	packetID, avl := packetIDs(p)
	return id == uint64(packetID)<<8|uint64(avl)
}

func (t *datagramTracker) next(r *bufio.Reader) (event, error) {
	b, err := datagram(r)
	if err != nil {
		return event{}, err
	}
	id, avl, records, err := teltonika.ParseDatagramAck(b)
	if err != nil {
		return event{kind: heardOther}, nil //nolint:nilerr // anybody can send a datagram; it is nothing to us
	}
	return event{kind: heardAck, records: uint64(records), id: uint64(id)<<8 | uint64(avl), hasID: true}, nil
}

// datagram reads one datagram: the reader is empty before, and filled by one read.
func datagram(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	b := make([]byte, r.Buffered())
	_, err := r.Read(b)
	return b, err
}
