package amqp

import (
	"encoding/binary"
	"time"
)

// listWriter writes a described list, the form of every performative and section
// with fields. Null fields at the end are left out, as the standard allows.
type listWriter struct {
	buf       []byte
	start     int // of the list constructor
	count     int
	keepLen   int // buf and count up to the last field that is not null
	keepCount int
	err       error
}

// listHead is constructor, size and count in their wide form.
const listHead = 9

func newList(dst []byte, descriptor uint64) *listWriter {
	dst = appendUlong(append(dst, codeDescribed), descriptor)
	start := len(dst)
	dst = append(dst, codeList32, 0, 0, 0, 0, 0, 0, 0, 0)
	return &listWriter{buf: dst, start: start, keepLen: len(dst)}
}

func (w *listWriter) keep() {
	w.count++
	w.keepLen, w.keepCount = len(w.buf), w.count
}

func (w *listWriter) null() {
	w.buf = append(w.buf, codeNull)
	w.count++
}

// done closes the list, in its narrow form if it fits.
func (w *listWriter) done() []byte {
	content := w.keepLen - w.start - listHead
	head := w.buf[w.start:]
	switch {
	case w.keepCount == 0:
		return append(w.buf[:w.start], codeList0)
	case content+1 <= 255 && w.keepCount <= 255:
		head[0], head[1], head[2] = codeList8, byte(content+1), byte(w.keepCount)
		copy(head[3:], head[listHead:listHead+content])
		return w.buf[:w.start+3+content]
	}
	binary.BigEndian.PutUint32(head[1:], uint32(content+4))
	binary.BigEndian.PutUint32(head[5:], uint32(w.keepCount))
	return w.buf[:w.keepLen]
}

// text writes null for the empty string.
func (w *listWriter) text(s string) {
	if s == "" {
		w.null()
		return
	}
	w.mustText(s)
}

func (w *listWriter) mustText(s string) {
	w.buf = appendText(w.buf, codeString8, s)
	w.keep()
}

func (w *listWriter) symbol(s Symbol) {
	if s == "" {
		w.null()
		return
	}
	w.buf = appendText(w.buf, codeSymbol8, string(s))
	w.keep()
}

func (w *listWriter) mustSymbol(s Symbol) {
	w.buf = appendText(w.buf, codeSymbol8, string(s))
	w.keep()
}

func (w *listWriter) bool(b bool) {
	w.buf = appendBool(w.buf, b)
	w.keep()
}

func (w *listWriter) symbols(s []Symbol) {
	if len(s) == 0 {
		w.null()
		return
	}
	list := make(Array, len(s))
	for i := range s {
		list[i] = s[i]
	}
	w.value(list)
}

// flag writes null for false, the default of every boolean field there is.
func (w *listWriter) flag(b bool) {
	if !b {
		w.null()
		return
	}
	w.buf = append(w.buf, codeTrue)
	w.keep()
}

func (w *listWriter) ubyte(v, absent byte) {
	if v == absent {
		w.null()
		return
	}
	w.buf = append(w.buf, codeUbyte, v)
	w.keep()
}

func (w *listWriter) ushort(v Optional[uint16]) {
	if !v.Set {
		w.null()
		return
	}
	w.buf = binary.BigEndian.AppendUint16(append(w.buf, codeUshort), v.Value)
	w.keep()
}

func (w *listWriter) uint(v uint32) {
	w.buf = appendUint(w.buf, v)
	w.keep()
}

func (w *listWriter) optUint(v Optional[uint32]) {
	if !v.Set {
		w.null()
		return
	}
	w.uint(v.Value)
}

func (w *listWriter) ulong(v Optional[uint64]) {
	if !v.Set {
		w.null()
		return
	}
	w.buf = appendUlong(w.buf, v.Value)
	w.keep()
}

func (w *listWriter) binary(b []byte) {
	if b == nil {
		w.null()
		return
	}
	w.buf = appendBinary(w.buf, b)
	w.keep()
}

func (w *listWriter) time(t time.Time) {
	if t.IsZero() {
		w.null()
		return
	}
	w.value(t)
}

func (w *listWriter) fieldMap(m Map) {
	if m == nil {
		w.null()
		return
	}
	w.value(m)
}

func (w *listWriter) value(v any) {
	if v == nil {
		w.null()
		return
	}
	var err error
	if w.buf, err = AppendValue(w.buf, v); err != nil && w.err == nil {
		w.err = err
	}
	w.keep()
}

// composite writes a described list as a field.
func (w *listWriter) composite(present bool, encode func([]byte) []byte) {
	if !present {
		w.null()
		return
	}
	w.buf = encode(w.buf)
	w.keep()
}

// listReader reads the fields of a described list in order. Fields that are null or
// left out keep the value they have; the first error sticks.
type listReader struct {
	in  Reader
	n   int
	err error
}

func (r *Reader) fields() *listReader {
	in, n, err := r.Items()
	return &listReader{in: in, n: n, err: err}
}

// next tells whether there is a value to read for the next field.
func (l *listReader) next() bool {
	if l.err != nil || l.n == 0 {
		return false
	}
	l.n--
	return !l.in.Null()
}

func (l *listReader) value() any {
	if !l.next() {
		return nil
	}
	v, err := l.in.Value()
	if err != nil {
		l.err = err
		return nil
	}
	return v
}

// read reads a field of one certain type.
func read[T any](l *listReader, into *T) bool {
	v := l.value()
	if v == nil {
		return false
	}
	t, ok := v.(T)
	if !ok {
		l.err = malformed("field of type %T where %T is wanted", v, *into)
		return false
	}
	*into = t
	return true
}

func optional[T any](l *listReader, into *Optional[T]) {
	into.Set = read(l, &into.Value)
}

// symbols reads a field that may hold one symbol or an array of them.
func (l *listReader) symbols(into *[]Symbol) {
	switch v := l.value().(type) {
	case nil:
	case Symbol:
		*into = []Symbol{v}
	case Array:
		for _, e := range v {
			s, ok := e.(Symbol)
			if !ok {
				l.err = malformed("array of %T where symbols are wanted", e)
				return
			}
			*into = append(*into, s)
		}
	default:
		l.err = malformed("field of type %T where symbols are wanted", v)
	}
}

// text reads a string, and takes a symbol for one.
func (l *listReader) text(into *string) {
	switch v := l.value().(type) {
	case nil:
	case string:
		*into = v
	case Symbol:
		*into = string(v)
	default:
		l.err = malformed("field of type %T where a string is wanted", v)
	}
}
