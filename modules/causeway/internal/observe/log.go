package observe

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

const (
	// timeForm is the runtime's yyyy-MM-dd HH:mm:ss.fff zzz.
	timeForm = "2006-01-02 15:04:05.000 -07:00"
	// maxValue bounds one value in a line, in bytes: Docker cuts lines at 16 KiB.
	maxValue = 4096
	// keptLine is how large a line's memory may be and be kept for the next.
	keptLine = 64 << 10
)

// NewLogger returns a logger that writes lines as the IoT Edge runtime does:
//
//	<6> 2026-11-22 04:24:23.123 +00:00 [INF] - listener opened listener=trackers
//
// One event is one line, and one Write to w, whatever its fields hold. The error
// field (Err) is written as err; the field "source" is written as [source] before
// the message while the level is debug or verbose, and left out otherwise. Lines
// above the level cost nothing. The logger is safe for concurrent use, and so are
// those derived from it.
func NewLogger(w io.Writer, level *Level) zerolog.Logger {
	return zerolog.New(&lineWriter{out: w, level: level, now: time.Now}).Sample(level)
}

// lineWriter turns zerolog's JSON events into lines.
type lineWriter struct {
	out   io.Writer
	level *Level
	now   func() time.Time

	mu   sync.Mutex
	line []byte
	rest []byte // the fields, which zerolog writes before the message
}

// Write implements io.Writer, for events without level.
func (w *lineWriter) Write(p []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel implements zerolog.LevelWriter.
func (w *lineWriter) WriteLevel(level zerolog.Level, event []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := severityOf(level)
	var message, source []byte
	w.rest = w.rest[:0]
	fields := eventFields{data: event}
	for fields.next() {
		switch string(fields.key) {
		case zerolog.LevelFieldName:
		case zerolog.MessageFieldName:
			message = fields.value
		case "source":
			source = fields.value
		case zerolog.ErrorFieldName:
			w.rest = appendField(w.rest, []byte("err"), fields.value)
		default:
			w.rest = appendField(w.rest, fields.key, fields.value)
		}
	}
	b := append(w.line[:0], '<', s.number, '>', ' ')
	b = w.now().UTC().AppendFormat(b, timeForm)
	b = append(b, " ["...)
	b = append(b, s.short...)
	b = append(b, ']', ' ')
	if source != nil && w.level.Enabled(zerolog.DebugLevel) {
		b = append(b, '[')
		b = appendText(b, unquote(source))
		b = append(b, ']', ' ')
	}
	b = append(b, '-', ' ')
	b = appendText(b, unquote(message))
	b = append(b, w.rest...)
	w.line = append(b, '\n')
	_, err := w.out.Write(w.line)
	if cap(w.line) > keptLine {
		w.line = nil
	}
	if cap(w.rest) > keptLine {
		w.rest = nil
	}
	return len(event), err
}

// appendField appends " key=value". A text is quoted when its end would not be
// plain otherwise.
func appendField(dst, key, value []byte) []byte {
	dst = append(dst, ' ')
	if bytes.IndexByte(key, '\\') >= 0 {
		key = unquote(append(append([]byte{'"'}, key...), '"'))
	}
	dst = appendWord(dst, key)
	dst = append(dst, '=')
	if len(value) > 0 && value[0] == '"' {
		return appendWord(dst, unquote(value))
	}
	return appendRaw(dst, value)
}

func appendWord(dst, text []byte) []byte {
	plain := len(text) > 0
	for _, c := range text {
		if c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f {
			plain = false
			break
		}
	}
	text, cut := bounded(text)
	if plain && !cut {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, text, '"')
	if cut {
		dst = append(dst, "..."...)
	}
	return append(dst, '"')
}

// appendText appends the message, which needs no quotes, on one line.
func appendText(dst, text []byte) []byte {
	text, cut := bounded(text)
	dst = appendEscaped(dst, text, 0)
	if cut {
		dst = append(dst, "..."...)
	}
	return dst
}

// appendEscaped replaces what is not printable, and the quote with the backslash
// where there is one.
func appendEscaped(dst, text []byte, quote byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case quote != 0 && (r == rune(quote) || r == '\\'):
			dst = append(dst, '\\', byte(r))
		case r == utf8.RuneError && size == 1 || !strconv.IsPrint(r):
			var tmp [16]byte
			escaped := strconv.AppendQuoteRune(tmp[:0], r)
			dst = append(dst, escaped[1:len(escaped)-1]...)
		default:
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return dst
}

// appendRaw appends a number, an object or an array. Raw JSON may have been laid
// out over several lines.
func appendRaw(dst, value []byte) []byte {
	value, cut := bounded(value)
	for _, c := range value {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	if cut {
		dst = append(dst, "..."...)
	}
	return dst
}

func bounded(text []byte) ([]byte, bool) {
	if len(text) <= maxValue {
		return text, false
	}
	return text[:maxValue], true
}

// unquote returns the text of a JSON string, without memory of its own where
// nothing is escaped.
func unquote(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return inner
	}
	return []byte(text)
}
