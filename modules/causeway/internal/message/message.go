// Package message is the envelope that travels between the rooms of the gateway:
// plain data from a session, through the routes, to the hub.
package message

import (
	"errors"
	"time"
)

// Message is one device message on its way to the hub. Body, Properties and the
// message itself are borrowed by whoever is called with it, and only until the
// call returns.
type Message struct {
	// Device is the device's id, never empty.
	Device string
	// Listener and Codec say where it came from.
	Listener, Codec string
	// Output is the module output it leaves by.
	Output string
	// Epoch and Seq make the message id, with the device: Epoch is one number for
	// the life of a session, Seq counts its messages from 1. The id is the same in
	// every retry, so that a consumer can drop duplicates.
	Epoch, Seq uint64
	// Body is the payload.
	Body []byte
	// ContentType and ContentEncoding are the AMQP properties of the same names.
	ContentType, ContentEncoding string
	// Created is the device's own time, or the time of arrival.
	Created time.Time
	// Properties are the application properties; those that the gateway adds
	// (deviceId, listener, codec) are not among them.
	Properties []Property
}

// Property is one application property.
type Property struct{ Name, Value string }

// idDevice bounds the device's part of a message id: IoT Hub takes ids of at most
// 128 ASCII characters.
const idDevice = 96

// AppendID appends the message id: device, epoch in base 36, sequence. A device
// name that is too long for it, or no plain ASCII, is there as its 64-bit FNV-1a.
func (m *Message) AppendID(dst []byte) []byte { return AppendSequence(m.AppendIDPrefix(dst), m.Seq) }

// AppendIDPrefix appends the id up to the sequence: what the messages of a session have
// in common.
func (m *Message) AppendIDPrefix(dst []byte) []byte {
	if len(m.Device) <= idDevice && plain(m.Device) {
		dst = append(dst, m.Device...)
	} else {
		dst = appendUint36(append(dst, '#'), Hash(m.Device))
	}
	dst = append(dst, '-')
	dst = appendUint36(dst, m.Epoch)
	return append(dst, '-')
}

// AppendSequence appends the rest of the id.
func AppendSequence(dst []byte, seq uint64) []byte { return appendUint36(dst, seq) }

func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Hash is the 64-bit FNV-1a (RFC 9923) of a device's id, by hand because the library's
// allocates. It is the same for ever: message ids and what is on disk depend on it.
func Hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func appendUint36(dst []byte, v uint64) []byte {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	var tmp [13]byte // 36^13 > 2^64
	i := len(tmp)
	for {
		i--
		tmp[i] = digits[v%36]
		if v /= 36; v == 0 {
			return append(dst, tmp[i:]...)
		}
	}
}

// Receipt hears what became of a message that was taken. Settled is called
// exactly once for each message, with nil when the message is durable, or with
// the reason for which it was refused for good. It must not block. Receipts are compared:
// no type of them holds what cannot be.
type Receipt interface {
	Settled(err error)
}

// Counter is the add-on of a receipt that hears of several of its messages at once.
type Counter interface {
	// SettledTimes is like so many calls of Settled, with n of at least 1.
	SettledTimes(n int, err error)
}

// Postponer is the add-on of a receipt that hears that its messages wait for a hub which does
// not take them at the moment. It may be told several times, before they are settled, and must
// not block.
type Postponer interface {
	Postponed()
}

// Settle settles n messages of a receipt.
func Settle(r Receipt, n int, err error) {
	if c, ok := r.(Counter); ok {
		c.SettledTimes(n, err)
		return
	}
	for range n {
		r.Settled(err)
	}
}

// What becomes of a message that is not taken, or not kept. The uplink wraps them
// with the particulars; sessions tell them apart with errors.Is.
var (
	// ErrFull: the queue is at its bound; the message may be sent again.
	ErrFull = errors.New("uplink queue full")
	// ErrRefused: the hub, or its size limit, refuses the message for good.
	ErrRefused = errors.New("refused for good")
	// ErrClosed: the gateway is going down; the message was not handed over.
	ErrClosed = errors.New("uplink closed")
)
