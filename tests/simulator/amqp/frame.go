package amqp

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Frame types, part 2 section 2.3.
const (
	frameAMQP byte = 0
	frameSASL byte = 1
)

// Protocol ids of the eight-byte header, part 2 section 2.2.
const (
	protoAMQP byte = 0
	protoSASL byte = 3
)

const (
	frameHead = 8
	// minMaxFrame is the smallest max-frame-size that the standard allows.
	minMaxFrame = 512
)

func protocolHeader(proto byte) [8]byte { return [8]byte{'A', 'M', 'Q', 'P', proto, 1, 0, 0} }

// frameReader reads frames of at most max bytes.
type frameReader struct {
	in   *bufio.Reader
	max  int
	read int // bytes of the last frame that are still in the buffer
}

func newFrameReader(in io.Reader, max int) *frameReader {
	return &frameReader{in: bufio.NewReaderSize(in, max), max: max}
}

// next returns the next frame. The body is good until the next call; it is empty
// for a heartbeat.
func (f *frameReader) next() (kind byte, channel uint16, body []byte, err error) {
	if err = f.release(); err != nil {
		return 0, 0, nil, err
	}
	head, err := f.in.Peek(frameHead)
	if err != nil {
		return 0, 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(head))
	offset, kind := int64(head[4])*4, head[5]
	channel = binary.BigEndian.Uint16(head[6:])
	switch {
	case size > int64(f.max):
		return 0, 0, nil, malformed("frame of %d bytes, at most %d are allowed", size, f.max)
	case offset < frameHead || offset > size:
		return 0, 0, nil, malformed("frame of %d bytes with its body at %d", size, offset)
	case kind > frameSASL:
		return 0, 0, nil, malformed("frame of type %d", kind)
	}
	all, err := f.in.Peek(int(size))
	if err != nil {
		return 0, 0, nil, err
	}
	f.read = int(size)
	return kind, channel, all[offset:], nil
}

// release gives up the bytes of the last frame.
func (f *frameReader) release() error {
	n := f.read
	f.read = 0
	_, err := f.in.Discard(n)
	return err
}

// header reads a protocol header.
func (f *frameReader) header() (proto byte, err error) {
	if err = f.release(); err != nil {
		return 0, err
	}
	b, err := f.in.Peek(8)
	if err != nil {
		return 0, err
	}
	f.read = 8
	got := [8]byte(b)
	if got != protocolHeader(got[4]) {
		return 0, malformed("protocol header % x", got)
	}
	return got[4], nil
}

func appendFrame(dst []byte, kind byte, channel uint16, body frameBody) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 2, kind, byte(channel>>8), byte(channel))
	if body != nil {
		dst = body.append(dst)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}
