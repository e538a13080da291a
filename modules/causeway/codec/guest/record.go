package guest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// The tags of records, as docs/codecs/wasm-abi.md has them.
const (
	tagError         = 1
	tagDevice        = 2
	tagSecret        = 3
	tagAccept        = 4
	tagRefuse        = 5
	tagReply         = 6
	tagAck           = 7
	tagNak           = 8
	tagClose         = 9
	tagMessage       = 16
	tagMessageDevice = 17
	tagContentType   = 18
	tagEncoding      = 19
	tagTime          = 20
	tagProperty      = 21
	tagJSON          = 22
	tagResult        = 32
	tagPayload       = 33
	tagRefusal       = 34
	tagFrame         = 48
	tagSkip          = 49
	tagExample       = 50

	headSize = 4
	tagBits  = 8
)

// kinds are the kinds of errors by number, less one.
func kinds() []error {
	return []error{
		codec.ErrMalformed, codec.ErrProtocol, codec.ErrRefused, codec.ErrUnknownCommand,
		codec.ErrBadCommand, codec.ErrBusy, errors.ErrUnsupported, codec.ErrBroken,
	}
}

func appendHead(b []byte, t byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(t)|uint32(n)<<tagBits)
}

func appendRecord[T ~string | ~[]byte](b []byte, t byte, data T) []byte {
	return append(appendHead(b, t, len(data)), data...)
}

// appendSome leaves out what is empty.
func appendSome[T ~string | ~[]byte](b []byte, t byte, data T) []byte {
	if len(data) == 0 {
		return b
	}
	return appendRecord(b, t, data)
}

func appendError(b []byte, err error) []byte {
	kind, text := 0, err.Error()
	for i, k := range kinds() {
		if errors.Is(err, k) {
			kind, text = i, strings.TrimSuffix(strings.TrimSuffix(text, k.Error()), ": ")
			break
		}
	}
	b = appendHead(b, tagError, 1+len(text))
	return append(append(b, byte(kind+1)), text...)
}

func appendOutcome(b []byte, out *codec.Outcome) []byte {
	b = appendSome(b, tagDevice, out.Identity.Device)
	b = appendSome(b, tagSecret, out.Identity.Secret)
	b = appendSome(b, tagAccept, out.Identity.Accept)
	b = appendSome(b, tagRefuse, out.Identity.Refuse)
	b = appendSome(b, tagReply, out.Reply)
	b = appendSome(b, tagAck, out.Ack)
	b = appendSome(b, tagNak, out.Nak)
	b = appendSome(b, tagClose, out.Close)
	for i := range out.Messages {
		b = appendMessage(b, &out.Messages[i])
	}
	for _, r := range out.Results {
		b = appendRecord(b, tagResult, r.Correlation)
		b = appendSome(b, tagPayload, r.Payload)
		if r.Err != nil {
			b = appendRecord(b, tagRefusal, r.Err.Error())
		}
	}
	return b
}

func appendMessage(b []byte, m *codec.Message) []byte {
	if m.ContentType == "application/json" && m.ContentEncoding == "utf-8" {
		b = appendRecord(b, tagJSON, m.Body)
	} else {
		b = appendRecord(b, tagMessage, m.Body)
		b = appendSome(b, tagContentType, m.ContentType)
		b = appendSome(b, tagEncoding, m.ContentEncoding)
	}
	b = appendSome(b, tagMessageDevice, m.Device)
	if !m.Time.IsZero() {
		const size = 8
		b = binary.LittleEndian.AppendUint64(appendHead(b, tagTime, size), uint64(m.Time.UnixNano()))
	}
	for _, p := range m.Properties {
		b = appendHead(b, tagProperty, 1+len(p.Name)+len(p.Value))
		b = append(append(append(b, byte(len(p.Name))), p.Name...), p.Value...)
	}
	return b
}

// appendCut says which part of the data is a frame.
func appendCut(b, data []byte, advance int, frame []byte) ([]byte, error) {
	switch {
	case advance == 0 && frame == nil:
		return b, nil
	case advance <= 0 || advance > len(data):
		return b, fmt.Errorf("consumed %d of %d bytes: %w", advance, len(data), codec.ErrBroken)
	case frame == nil:
		return binary.LittleEndian.AppendUint32(appendHead(b, tagSkip, headSize), uint32(advance)), nil
	}
	skip := bytes.Index(data[:advance], frame) // equal bytes are as good as the same ones
	if skip < 0 {
		return b, fmt.Errorf("a frame that is no part of what was consumed: %w", codec.ErrBroken)
	}
	const size = 12
	b = appendHead(b, tagFrame, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(skip))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
	return binary.LittleEndian.AppendUint32(b, uint32(advance)), nil
}

// eachRecord reads what the gateway hands in.
func eachRecord(b []byte, f func(t byte, data []byte)) {
	for len(b) >= headSize {
		head := binary.LittleEndian.Uint32(b)
		n := min(int(head>>tagBits), len(b)-headSize)
		f(byte(head), b[headSize:headSize+n])
		b = b[headSize+n:]
	}
}

func readPeer(b []byte) (codec.Peer, error) {
	var p codec.Peer
	var err error
	var id codec.TLSIdentity
	eachRecord(b, func(t byte, data []byte) {
		switch t {
		case 1:
			p.Listener = string(data)
		case 2:
			p.Transport = string(data)
		case 3:
			if p.Remote, err = netip.ParseAddrPort(string(data)); err != nil {
				err = fmt.Errorf("address of the device: %w", err)
			}
		case 4:
			id.CommonName, p.TLS = string(data), &id
		case 5:
			id.Names = append(id.Names, string(data))
		case 6:
			id.Fingerprint = string(data)
		}
	})
	return p, err
}

func readCommand(b []byte) codec.Command {
	var c codec.Command
	eachRecord(b, func(t byte, data []byte) {
		switch t {
		case 1:
			c.Correlation = string(data)
		case 2:
			c.Name = string(data)
		case 3:
			c.Payload = json.RawMessage(append([]byte(nil), data...))
		}
	})
	return c
}
