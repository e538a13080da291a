// Package journal writes every message that reaches the cloud to a file, one JSON line
// each, before its sender is told. A killed simulator so keeps what it has acknowledged,
// and reads it back when it starts again.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxLine bounds a line: a message of 256 KiB whose properties need six bytes a byte.
const maxLine = 4 << 20

// line is a message as it is written.
type line struct {
	Sequence   uint64            `json:"sequence"`
	Enqueued   time.Time         `json:"enqueued"`
	Source     string            `json:"source"`
	Device     string            `json:"device"`
	Module     string            `json:"module,omitempty"`
	Output     string            `json:"output,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	System     map[string]string `json:"system,omitempty"`
	Body       []byte            `json:"body"`
}

// File is an open journal. Append is called by one goroutine at a time.
type File struct {
	file *os.File
	buf  bytes.Buffer
}

// Open opens the file for appending and returns its last keep messages. A torn last line,
// as a kill leaves it, is cut off. A gap in the numbers is an error.
func Open(path string, keep int) (*File, []edge.Upstream, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	messages, end, err := read(file, keep)
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open journal %s: %w", path, errors.Join(err, file.Close()))
	}
	return &File{file: file}, messages, nil
}

// read returns the last keep messages and the end of the last whole line.
func read(r io.Reader, keep int) (messages []edge.Upstream, end int64, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return messages, end, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("line at byte %d: %w", end, err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("line at byte %d: %w", end, err)
		}
		if n := len(messages); n > 0 && l.Sequence != messages[n-1].Sequence+1 {
			return nil, 0, fmt.Errorf("line at byte %d: number %d follows %d", end, l.Sequence, messages[n-1].Sequence)
		}
		if messages = append(messages, l.message()); len(messages) > 2*max(keep, 1) {
			messages = append([]edge.Upstream(nil), messages[len(messages)-max(keep, 1):]...)
		}
		end += int64(len(text))
	}
}

func newLine(source string, m *edge.Message) line {
	return line{
		Enqueued: m.Enqueued, Source: source, Device: m.From.Device, Module: m.From.Module, Output: m.Output,
		Properties: m.Properties, System: m.System, Body: m.Body,
	}
}

func (l *line) message() edge.Upstream {
	return edge.Upstream{Sequence: l.Sequence, Source: l.Source, Message: edge.Message{
		From:   edge.Identity{Device: l.Device, Module: l.Module},
		Output: l.Output, Body: l.Body, Properties: l.Properties, System: l.System, Enqueued: l.Enqueued,
	}}
}

// Append implements edge.Journal with one write for all messages.
func (f *File) Append(messages []edge.Upstream) error {
	f.buf.Reset()
	out := json.NewEncoder(&f.buf)
	for i := range messages {
		l := newLine(messages[i].Source, &messages[i].Message)
		l.Sequence = messages[i].Sequence
		if err := out.Encode(&l); err != nil {
			return fmt.Errorf("encode message %d: %w", l.Sequence, err)
		}
	}
	if _, err := f.file.Write(f.buf.Bytes()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
