package teltonika

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// codec12 is the codec of commands and answers as text.
const codec12 = 0x0C

// The types of a Codec 12 message.
const (
	typeCommand  = 0x05
	typeResponse = 0x06
)

// maxCommand bounds a frame from the server. A command is a line of text; 4 KiB
// holds the longest parameter list a device takes.
const maxCommand = 4 << 10

// Errors of what the server sends.
var (
	// ErrRefused: the server does not know this IMEI.
	ErrRefused = errors.New("login refused")
	// ErrServer: the server sent what no server should.
	ErrServer = errors.New("unexpected bytes from the server")
)

// ReadLogin reads the answer to a login; nil means that it was accepted.
func ReadLogin(r io.ByteReader) error {
	b, err := r.ReadByte()
	switch {
	case err != nil:
		return err
	case b == 0x01:
		return nil
	case b == 0x00:
		return ErrRefused
	}
	return fmt.Errorf("%w: %#x in answer to the login", ErrServer, b)
}

// ReadServer reads the next thing that a server says after the login over TCP:
// the number of records it accepted, or a command. A count is never 0, since four
// zero bytes begin a command.
func ReadServer(r *bufio.Reader) (records uint32, command string, err error) {
	var head [4]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	if records = binary.BigEndian.Uint32(head[:]); records != 0 {
		return records, "", nil
	}
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > maxCommand {
		return 0, "", fmt.Errorf("%w: a command of %d bytes, allowed are 8 to %d", ErrServer, size, maxCommand)
	}
	frame := make([]byte, size+4)
	if _, err = io.ReadFull(r, frame); err != nil {
		return 0, "", err
	}
	command, err = parseCommand(frame[:size], binary.BigEndian.Uint32(frame[size:]))
	return 0, command, err
}

// parseCommand reads codec, quantity, type, size, text, quantity.
func parseCommand(data []byte, crc uint32) (string, error) {
	if want := uint32(checksum(data)); crc != want {
		return "", fmt.Errorf("%w: checksum %#x of a command, want %#x", ErrServer, crc, want)
	}
	if data[0] != codec12 || data[1] != 1 || data[2] != typeCommand {
		return "", fmt.Errorf("%w: % x, want one codec 12 command", ErrServer, data[:3])
	}
	if n := binary.BigEndian.Uint32(data[3:]); uint64(n)+8 != uint64(len(data)) {
		return "", fmt.Errorf("%w: a text of %d bytes in a command of %d", ErrServer, n, len(data))
	}
	return string(data[7 : len(data)-1]), nil
}

// AppendAnswer appends a device's answer to a command.
func AppendAnswer(dst []byte, text string) []byte {
	dst, body := beginFrame(dst)
	dst = append(dst, codec12, 1, typeResponse)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	dst = append(dst, text...)
	dst = append(dst, 1)
	return endFrame(dst, body)
}
