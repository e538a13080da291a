package hub

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// Property names with a meaning to the edge hub (AmqpMessageConverter.cs) or to
// the consumers of Causeway's messages.
const (
	propertyOutput = "iothub-outputname"
	// propertyDeviceOutput takes its place where the identity is a device's: only modules
	// have outputs, and routes can tell by it all the same.
	propertyDeviceOutput = "output"
	propertyCreated      = "iothub-creation-time-utc"
	propertyDevice       = "deviceId"
	propertyListener     = "listener"
	propertyCodec        = "codec"
	// These two the hub would take for its own.
	propertySchema    = "iothub-message-schema"
	propertyOperation = "iothub-operation"
)

// AMQP 1.0 constructors used here (OASIS AMQP 1.0, part 1, section 1.6, and part
// 3, section 3.2).
const (
	codeNull     = 0x40
	codeStr8     = 0xa1
	codeStr32    = 0xb1
	codeSym8     = 0xa3
	codeSym32    = 0xb3
	codeVbin8    = 0xa0
	codeVbin32   = 0xb0
	codeList32   = 0xd0
	codeMap32    = 0xd1
	sectionProps = 0x73
	sectionApp   = 0x74
	sectionData  = 0x75
)

// createdLayout is .NET's round-trip format: the hub parses the text exactly so
// when it forwards the message to the cloud, with seven digits of the second
// (DeviceClientMessageConverter.cs), and cannot forward it otherwise.
const (
	createdLayout = "2006-01-02T15:04:05.0000000Z"
	createdSecond = "2006-01-02T15:04:05"
)

// firstYear and lastYear bound the dates that .NET, and the layout, can express.
const (
	firstYear = 1
	lastYear  = 9999
)

// heads is for how many devices an encoder remembers what their messages have in common;
// some 500 bytes each. With more, those that share a place write it anew.
const heads = 1024

// encoder writes messages. Messages of one device differ in sequence, time, body and the
// codec's properties only, so it keeps the rest as bytes. It is not safe for concurrent
// use.
type encoder struct {
	device bool // the identity is a device's
	leaf   bool // of a device that sends for itself; it is the only one then
	heads  []*head
	second int64  // Unix time of the text
	clock  []byte // the text of that second up to the point; empty when it has none
}

// head is what messages of one device have in common.
type head struct {
	device, listener, codec, output, contentType, contentEncoding string
	epoch                                                         uint64
	bytes                                                         []byte
	sequence                                                      int // where in bytes the sequence goes
	pairs                                                         int // where the map's size is
}

func (h *head) fits(m *message.Message) bool {
	return h != nil && h.epoch == m.Epoch && h.device == m.Device && h.output == m.Output && h.listener == m.Listener &&
		h.codec == m.Codec && h.contentType == m.ContentType && h.contentEncoding == m.ContentEncoding
}

// Where the properties section has its size and that of the id in it.
const (
	offsetSize = 4
	offsetID   = offsetSize + 9
)

// headOf is the head for a message, whose device has that hash.
func (e *encoder) headOf(m *message.Message, hash uint64) *head {
	if e.heads == nil {
		n := heads
		if e.leaf {
			n = 1
		}
		e.heads = make([]*head, n)
	}
	place := &e.heads[hash%uint64(len(e.heads))]
	h := *place
	if h.fits(m) {
		return h
	}
	if h == nil {
		h = new(head)
		*place = h
	}
	*h = head{
		device: m.Device, listener: m.Listener, codec: m.Codec, output: m.Output,
		contentType: m.ContentType, contentEncoding: m.ContentEncoding, epoch: m.Epoch, bytes: h.bytes[:0],
	}
	// message-id, content-type and content-encoding; the fields between them are null.
	h.bytes = append(h.bytes, 0x00, 0x53, sectionProps, codeList32, 0, 0, 0, 0, 0, 0, 0, 8, codeStr32, 0, 0, 0, 0)
	h.bytes = m.AppendIDPrefix(h.bytes)
	h.sequence = len(h.bytes)
	h.bytes = append(h.bytes, codeNull, codeNull, codeNull, codeNull, codeNull)
	h.bytes = appendSymbol(h.bytes, m.ContentType)
	h.bytes = appendSymbol(h.bytes, m.ContentEncoding)
	h.bytes = append(h.bytes, 0x00, 0x53, sectionApp, codeMap32)
	h.pairs = len(h.bytes)
	h.bytes = append(h.bytes, 0, 0, 0, 0, 0, 0, 0, 0)
	h.bytes = appendPair(h.bytes, e.outputName(), m.Output)
	h.bytes = appendPair(h.bytes, propertyDevice, m.Device)
	h.bytes = appendPair(h.bytes, propertyListener, m.Listener)
	h.bytes = appendPair(h.bytes, propertyCodec, m.Codec)
	return h
}

func (e *encoder) outputName() string {
	if e.device {
		return propertyDeviceOutput
	}
	return propertyOutput
}

// appendMessage appends one complete bare AMQP message. Hash is message.Hash of its
// device. Device ids are valid text; what else comes from devices is made so, since one
// malformed string would cost the whole batch.
func (e *encoder) appendMessage(dst []byte, m *message.Message, hash uint64) []byte {
	h, start := e.headOf(m, hash), len(dst)
	dst = append(dst, h.bytes[:h.sequence]...)
	dst = message.AppendSequence(dst, m.Seq)
	id := len(dst)
	dst = append(dst, h.bytes[h.sequence:]...)
	pairs := id + h.pairs - h.sequence
	section, name := dst[start+offsetSize:], dst[start+offsetID:]
	binary.BigEndian.PutUint32(section, uint32(pairs-start-offsetSize-8)) //nolint:gosec // bounded by messageLimit
	binary.BigEndian.PutUint32(name, uint32(id-start-offsetID-4))         //nolint:gosec // an id is short
	dst = e.appendMore(dst, m, pairs)
	dst = append(dst, 0x00, 0x53, sectionData)
	return appendVariable(dst, codeVbin8, codeVbin32, m.Body)
}

// encode is one message by itself.
func encode(m *message.Message) []byte { return new(encoder).appendMessage(nil, m, 0) }

// appendMore completes the application properties behind the head's, with the time and
// those of the codec and the route: strings only, since the hub reads any other type as
// null. Names that differ only by case make the hub refuse the message, so the gateway's
// own win and a repeated name is left out.
func (e *encoder) appendMore(dst []byte, m *message.Message, at int) []byte {
	n := uint32(4)
	if text := e.clockOf(m.Created); len(text) > 0 {
		dst = append(dst, codeStr8, byte(len(propertyCreated)))
		dst = append(dst, propertyCreated...)
		dst = append(dst, codeStr8, byte(len(createdLayout)))
		dst = append(dst, text...)
		dst = appendTicks(dst, m.Created)
		n++
	}
	for i, p := range m.Properties {
		if p.Name == "" || reserved(p.Name) || repeated(m.Properties[:i], p.Name) ||
			e.device && strings.EqualFold(p.Name, propertyDeviceOutput) {
			continue
		}
		dst = appendPair(dst, p.Name, p.Value)
		n++
	}
	binary.BigEndian.PutUint32(dst[at+4:], 2*n)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)) //nolint:gosec // bounded by messageLimit
	return dst
}

// clockOf is the text of a time's second, empty when the layout cannot express it.
// Messages that come one after the other are mostly of one second.
func (e *encoder) clockOf(t time.Time) []byte {
	if second := t.Unix(); second != e.second || e.clock == nil {
		e.second, e.clock = second, append(e.clock[:0], ""...)
		if t = t.UTC(); t.Year() >= firstYear && t.Year() <= lastYear {
			e.clock = t.AppendFormat(e.clock, createdSecond)
		}
	}
	return e.clock
}

// appendTicks appends the point, the seven digits and the zone of createdLayout.
func appendTicks(dst []byte, t time.Time) []byte {
	ticks := t.Nanosecond() / 100
	dst = append(dst, ".0000000Z"...)
	for i := len(dst) - 2; ticks > 0; i-- {
		dst[i] = byte('0' + ticks%10)
		ticks /= 10
	}
	return dst
}

func appendPair(dst []byte, name, value string) []byte {
	return appendString(appendString(dst, name), value)
}

func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return appendVariable(dst, codeStr8, codeStr32, s)
}

// appendSymbol writes ASCII; what is not ASCII is no media type and is left out.
func appendSymbol(dst []byte, s string) []byte {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return append(dst, codeNull)
	}
	return appendVariable(dst, codeSym8, codeSym32, s)
}

func appendVariable[T string | []byte](dst []byte, short, long byte, v T) []byte {
	if len(v) <= 255 {
		dst = append(dst, short, byte(len(v)))
	} else {
		dst = append(dst, long)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v))) //nolint:gosec // bounded by messageLimit
	}
	return append(dst, v...)
}

// reserved tells names that the gateway writes itself and those that the hub
// would take for its own.
func reserved(name string) bool {
	switch len(name) { // most names have another length
	case len(propertyOutput):
		return strings.EqualFold(name, propertyOutput)
	case len(propertyOperation):
		return strings.EqualFold(name, propertyOperation)
	case len(propertyCreated):
		return strings.EqualFold(name, propertyCreated)
	case len(propertySchema):
		return strings.EqualFold(name, propertySchema)
	case len(propertyDevice), len(propertyCodec):
		return strings.EqualFold(name, propertyDevice) || strings.EqualFold(name, propertyListener) ||
			strings.EqualFold(name, propertyCodec)
	default:
		return false
	}
}

func repeated(before []message.Property, name string) bool {
	for _, p := range before {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

// DeviceOf reads the device of the first message that an encoder has written: it
// stands in the second pair of the application properties. Empty when it is not there.
func DeviceOf(encoded []byte) string {
	const head = 8 // of a section: descriptor, constructor, size
	if len(encoded) < head {
		return ""
	}
	size := uint64(binary.BigEndian.Uint32(encoded[head-4:]))
	at := head + size + head + 4 // behind the count of the map
	if at > uint64(len(encoded)) {
		return ""
	}
	value, rest := "", encoded[at:]
	for range 4 { // output and its value, device and its value
		var ok bool
		if value, rest, ok = readString(rest); !ok {
			return ""
		}
	}
	return value
}

func readString(b []byte) (s string, rest []byte, ok bool) {
	switch {
	case len(b) >= 2 && b[0] == codeStr8 && len(b)-2 >= int(b[1]):
		return string(b[2 : 2+int(b[1])]), b[2+int(b[1]):], true
	case len(b) >= 5 && b[0] == codeStr32:
		if n := uint64(binary.BigEndian.Uint32(b[1:])); n <= uint64(len(b)-5) {
			return string(b[5 : 5+n]), b[5+n:], true
		}
	}
	return "", nil, false
}
