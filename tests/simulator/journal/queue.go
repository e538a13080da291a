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

// QueueSuffix is added to a journal's name for the file of what waits for the cloud.
const QueueSuffix = ".queue"

// queueLine is a message that waits, as it is written.
type queueLine struct {
	line
	Priority uint32    `json:"priority"`
	Expires  time.Time `json:"expires,omitzero"`
}

// Queue is the file of the messages that wait for the cloud. It grows while the link is
// cut, as far as the hub's queue may, and is emptied when the last message has left. Its
// methods are called by one goroutine at a time.
type Queue struct {
	file *os.File
	buf  bytes.Buffer
}

// OpenQueue opens the file and returns what an earlier run left in it. A torn last line,
// as a kill leaves it, is cut off: its sender was not told.
func OpenQueue(path string) (*Queue, []edge.Waiting, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open queue: %w", err)
	}
	messages, end, err := readQueue(file)
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open queue %s: %w", path, errors.Join(err, file.Close()))
	}
	return &Queue{file: file}, messages, nil
}

func readQueue(r io.Reader) (messages []edge.Waiting, end int64, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return messages, end, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("line at byte %d: %w", end, err)
		}
		var l queueLine
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("line at byte %d: %w", end, err)
		}
		messages = append(messages, edge.Waiting{
			Priority: l.Priority, Expires: l.Expires, Source: l.Source, Message: l.message().Message,
		})
		end += int64(len(text))
	}
}

// Push implements edge.Spool with one write for all messages.
func (q *Queue) Push(messages []edge.Waiting) error {
	q.buf.Reset()
	out := json.NewEncoder(&q.buf)
	for i := range messages {
		w := &messages[i]
		l := queueLine{newLine(w.Source, &w.Message), w.Priority, w.Expires}
		if err := out.Encode(&l); err != nil {
			return fmt.Errorf("encode message: %w", err)
		}
	}
	if _, err := q.file.Write(q.buf.Bytes()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Clear implements edge.Spool.
func (q *Queue) Clear() error {
	if err := q.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the queue: %w", err)
	}
	if _, err := q.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("empty the queue: %w", err)
	}
	return nil
}

// Close closes the file.
func (q *Queue) Close() error { return q.file.Close() }
