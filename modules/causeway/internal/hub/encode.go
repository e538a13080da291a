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
	propertyOutput   = "iothub-outputname"
	propertyCreated  = "iothub-creation-time-utc"
	propertyDevice   = "deviceId"
	propertyListener = "listener"
	propertyCodec    = "codec"
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
const createdLayout = "2006-01-02T15:04:05.0000000Z"

// firstYear and lastYear bound the dates that .NET, and the layout, can express.
const (
	firstYear = 1
	lastYear  = 9999
)

// appendMessage appends one complete bare AMQP message. Device ids are valid
// text; what else comes from devices is made so, since one malformed string would
// cost the whole batch.
func appendMessage(dst []byte, m *message.Message) []byte {
	dst = appendProperties(dst, m)
	dst = appendApplicationProperties(dst, m)
	dst = append(dst, 0x00, 0x53, sectionData)
	return appendVariable(dst, codeVbin8, codeVbin32, m.Body)
}

// appendProperties writes message-id, content-type and content-encoding; the
// fields between them are null.
func appendProperties(dst []byte, m *message.Message) []byte {
	dst = append(dst, 0x00, 0x53, sectionProps, codeList32, 0, 0, 0, 0, 0, 0, 0, 8)
	start := len(dst)
	dst = append(dst, codeStr32, 0, 0, 0, 0)
	dst = m.AppendID(dst)
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5)) //nolint:gosec // an id is short
	dst = append(dst, codeNull, codeNull, codeNull, codeNull, codeNull)
	dst = appendSymbol(dst, m.ContentType)
	dst = appendSymbol(dst, m.ContentEncoding)
	binary.BigEndian.PutUint32(dst[start-8:], uint32(len(dst)-start+4)) //nolint:gosec // bounded by messageLimit
	return dst
}

// appendApplicationProperties writes strings only: the hub reads any other type
// as null. Names that differ only by case make the hub refuse the message, so the
// gateway's own win and a repeated name is left out.
func appendApplicationProperties(dst []byte, m *message.Message) []byte {
	dst = append(dst, 0x00, 0x53, sectionApp, codeMap32, 0, 0, 0, 0, 0, 0, 0, 0)
	start := len(dst)
	n := uint32(4)
	dst = appendPair(dst, propertyOutput, m.Output)
	dst = appendPair(dst, propertyDevice, m.Device)
	dst = appendPair(dst, propertyListener, m.Listener)
	dst = appendPair(dst, propertyCodec, m.Codec)
	if created := m.Created.UTC(); created.Year() >= firstYear && created.Year() <= lastYear {
		dst = appendCreated(dst, created)
		n++
	}
	for i, p := range m.Properties {
		if p.Name == "" || reserved(p.Name) || repeated(m.Properties[:i], p.Name) {
			continue
		}
		dst = appendPair(dst, p.Name, p.Value)
		n++
	}
	binary.BigEndian.PutUint32(dst[start-4:], 2*n)
	binary.BigEndian.PutUint32(dst[start-8:], uint32(len(dst)-start+4)) //nolint:gosec // bounded by messageLimit
	return dst
}

func appendCreated(dst []byte, t time.Time) []byte {
	dst = appendString(dst, propertyCreated)
	dst = append(dst, codeStr8, byte(len(createdLayout)))
	return t.AppendFormat(dst, createdLayout)
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
	for _, own := range [...]string{
		propertyOutput, propertyCreated, propertyDevice, propertyListener, propertyCodec,
		"iothub-message-schema", "iothub-operation",
	} {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

func repeated(before []message.Property, name string) bool {
	for _, p := range before {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

// deviceOf reads the device of the first message that appendMessage has written: it
// stands in the second pair of the application properties. Empty when it is not there.
func deviceOf(encoded []byte) string {
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
