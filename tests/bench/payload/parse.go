package payload

import (
	"bytes"
	"time"
)

// Message is what a message says of itself.
type Message struct {
	// Device is part of the bytes that were read.
	Device []byte
	// Number counts the device's messages from 0.
	Number uint32
	// Sent is the time of sending in Unix nanoseconds.
	Sent int64
}

// The names that are looked for, and those of a record as the teltonika codec renders it.
var (
	nameID        = []byte(`"id":"`)
	nameSeq       = []byte(`"seq":`)
	nameTime      = []byte(`"t":`)
	nameOdometer  = []byte(`"totalOdometer":`)
	nameTimestamp = []byte(`{"timestamp":"`)
)

// NamesDevice says whether a body begins with its device, so that nobody needs to look for it.
func NamesDevice(body []byte) bool { return bytes.HasPrefix(body, []byte(partID)) }

// Parse reads a body. device is who sent it where the body does not say; ok is false for a
// body that is not ours.
func Parse(body, device []byte) (m Message, ok bool) {
	if bytes.HasPrefix(body, nameTimestamp) {
		return parseRecord(body, device)
	}
	// A gateway that passes bytes on keeps the places; one that encodes again may not.
	if len(body) >= timeAt+timeSize && string(body[:len(partID)]) == partID &&
		string(body[seqAt-len(partSeq):seqAt]) == partSeq && string(body[timeAt-len(partTime):timeAt]) == partTime {
		return number(body[len(partID):][:idSize], body[seqAt:], body[timeAt:])
	}
	id, found := after(body, nameID)
	end := bytes.IndexByte(id, '"')
	seq, foundSeq := after(body, nameSeq)
	at, foundTime := after(body, nameTime)
	if !found || !foundSeq || !foundTime || end < 0 {
		return m, false
	}
	return number(id[:end], seq, at)
}

func after(body, name []byte) ([]byte, bool) {
	i := bytes.Index(body, name)
	if i < 0 {
		return nil, false
	}
	return body[i+len(name):], true
}

func number(id, seq, at []byte) (m Message, ok bool) {
	n, t := digits(seq), digits(at)
	if n < base || n-base >= base || t == 0 {
		return m, false
	}
	return Message{Device: id, Number: uint32(n - base), Sent: int64(t)}, true //nolint:gosec // 19 digits
}

// digits reads the number at the start of b; 0 for none.
func digits(b []byte) (v uint64) {
	for i := 0; i < len(b) && i < timeSize && b[i]-'0' <= 9; i++ {
		v = v*10 + uint64(b[i]-'0')
	}
	return v
}

func parseRecord(body, device []byte) (m Message, ok bool) {
	odometer, found := after(body, nameOdometer)
	stamp, _, closed := bytes.Cut(body[len(nameTimestamp):], []byte{'"'})
	if !found || !closed || len(device) == 0 {
		return m, false
	}
	at, err := time.Parse(time.RFC3339, string(stamp))
	if err != nil {
		return m, false
	}
	return Message{Device: device, Number: uint32(digits(odometer)), Sent: at.UnixNano()}, true //nolint:gosec // 4 bytes
}
