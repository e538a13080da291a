package frame

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Source is what a Reader reads: a net.Conn has both methods.
type Source interface {
	Read(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
}

// Options bound a Reader.
type Options struct {
	// Limit is the longest frame in bytes. It has to be over 0.
	Limit int
	// Window is the most bytes to hold for one frame, what surrounds it included:
	// Framing.Window, or 0 for Limit and 1 KiB, for codecs that cut the stream.
	Window int
	// Gap is Framing.Gap: the silence that ends a frame.
	Gap time.Duration
	// Rest has Next return ErrSilent when nothing came for a second and nothing is held,
	// so that the caller can give the Reader up until there is something to read.
	Rest bool
	// Spent is called before a read, when no whole frame is left in what is held, which
	// changes then. An error ends Next. Optional.
	Spent func() error
}

// ErrSilent says that nothing came for a while and nothing is held. Next may be called
// again.
var ErrSilent = errors.New("silent")

// ErrNoProgress says that a split function returned a frame without consuming
// anything, or consumed what was not there: its fault, not the device's.
var ErrNoProgress = errors.New("split function makes no progress")

const (
	// firstBuffer holds some frames of most devices; at 10,000 idle links each
	// further KiB would cost 10 MiB.
	firstBuffer = 512
	// surround is the head and tail that a codec's frames may have over the limit.
	surround = 1 << 10
	// busyBuffer is how far a buffer grows only because reads fill it: at 4 to 16 KiB
	// the system call costs little beside the copying.
	busyBuffer = 16 << 10
	// idleAfter is how long a link is silent before a grown buffer is given back.
	idleAfter = time.Second
	// emptyReads in a row (0, nil) are taken for a broken source, as bufio does.
	emptyReads = 100
)

// Reader reads the frames of one link. Next is for one goroutine; only
// SetReadDeadline may be called from others.
type Reader struct {
	src      Source
	split    bufio.SplitFunc
	limit    int
	window   int
	gap      time.Duration
	rest     bool
	spent    func() error
	buf      []byte
	from, to int    // what is buffered
	received uint64 // bytes read from the source
	err      error  // from the source, to be returned after the frames before it
	silent   bool   // the gap has passed: what is buffered is a frame
	full     bool   // the last read filled the buffer
	passed   int    // bytes before from that the last error is about
	active   bool   // something was read since the idle time was armed

	mu       sync.Mutex
	deadline time.Time // the caller's
	armed    time.Time // the Reader's own, zero when there is none
}

// NewReader returns a Reader of src. Split is called anew for every frame, so
// that a method of a dialogue may change its mind between frames.
func NewReader(src Source, split bufio.SplitFunc, opts Options) *Reader {
	r := &Reader{
		src: src, split: split, limit: opts.Limit, window: opts.Window, gap: opts.Gap, rest: opts.Rest, spent: opts.Spent,
	}
	if r.window == 0 {
		r.window = r.limit + surround
	}
	return r
}

// SetReadDeadline bounds the reads of this and later calls of Next, as
// net.Conn.SetReadDeadline does; zero means no bound. The Reader uses the
// source's deadline for its own purposes, so it must be set here. It may be
// called while Next waits, and ends that wait when t is in the past.
func (r *Reader) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return r.src.SetReadDeadline(earlier(t, r.armed))
}

// Buffered is how many bytes of an unfinished frame are held, after Next.
func (r *Reader) Buffered() int { return r.to - r.from }

// Received is how many bytes were read from the source.
func (r *Reader) Received() uint64 { return r.received }

// Offending returns the bytes that the last error of Next is about: what it passed
// over, else all that is buffered. They are borrowed until the next call of Next.
func (r *Reader) Offending() []byte {
	if r.passed > 0 {
		return r.buf[r.from-r.passed : r.from]
	}
	return r.buf[r.from:r.to]
}

// Consumed is how many bytes were consumed as frames or passed over.
func (r *Reader) Consumed() uint64 { return r.received - uint64(r.Buffered()) }

// Next returns the next frame, borrowed until the next call. Where the split
// function cuts within the bytes that it is given, it lasts until Options.Spent is called.
// Errors:
//   - io.EOF after the last frame of the stream, io.ErrUnexpectedEOF when part of
//     another follows it;
//   - those of the source as they are: os.ErrDeadlineExceeded when the deadline of
//     SetReadDeadline has passed; Next may be called again then;
//   - those of the split function: Next may be called again where ErrMalformed
//     was found and bytes were consumed, and returns the same error otherwise;
//   - that of Options.Spent; ErrSilent with Options.Rest; ErrTooLong and ErrNoProgress.
func (r *Reader) Next() ([]byte, error) {
	r.passed = 0
	for {
		frame, more, err := r.cut()
		if !more {
			return frame, err
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// cut takes a frame from what is buffered; more is set when that is not enough.
func (r *Reader) cut() (frame []byte, more bool, err error) {
	for r.from < r.to {
		data := r.buf[r.from:r.to]
		atEOF := r.silent || errors.Is(r.err, io.EOF)
		advance, frame, err := r.split(data, atEOF)
		if advance < 0 || advance > len(data) || frame != nil && advance == 0 {
			return nil, false, fmt.Errorf("frame: consumed %d of %d bytes: %w", advance, len(data), ErrNoProgress)
		}
		r.from += advance
		switch {
		case err != nil:
			r.passed = advance
			return nil, false, err
		case len(frame) > r.limit:
			r.passed = advance
			return nil, false, tooLong(len(frame), r.limit)
		case frame != nil:
			return frame, false, nil
		case advance == 0 && len(data) >= r.window:
			return nil, false, tooLong(len(data), r.limit)
		case advance == 0:
			return nil, true, nil
		}
	}
	return nil, true, nil
}

// fill reads once.
func (r *Reader) fill() error {
	r.silent = false
	if r.spent != nil {
		if err := r.spent(); err != nil {
			return err
		}
	}
	if r.err != nil {
		if errors.Is(r.err, io.EOF) && r.from < r.to {
			return io.ErrUnexpectedEOF
		}
		return r.err
	}
	r.room()
	for range emptyReads {
		if err := r.arm(); err != nil {
			return err
		}
		n, err := r.src.Read(r.buf[r.to:])
		if n < 0 || n > len(r.buf)-r.to {
			return fmt.Errorf("frame: source read %d of %d bytes: %w", n, len(r.buf)-r.to, ErrNoProgress)
		}
		r.to += n
		r.received += uint64(n)
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if !late {
			r.err = err // it comes after the frames before it
		}
		done := n > 0 || r.err != nil
		if n > 0 {
			r.active, r.full = true, r.to == len(r.buf)
		}
		switch {
		case done:
			return nil
		case late && r.timedOut():
			return r.quiet()
		case late:
			return err
		}
	}
	return io.ErrNoProgress
}

// room makes room for the next read: at the end of the buffer where there is
// some, else by moving what is buffered to the front, else by growing. A buffer
// that a read has filled grows too, up to busyBuffer: more is waiting.
func (r *Reader) room() {
	held := r.to - r.from
	if held == 0 {
		r.from, r.to = 0, 0
	}
	size := len(r.buf)
	largest := max(r.window, firstBuffer)
	switch {
	case r.full && size < busyBuffer, r.to == size && (r.from == 0 || held > size/2):
		size = min(max(2*size, firstBuffer), largest)
	case r.to < size:
		return
	}
	r.full = false
	buf := r.buf
	if size > len(r.buf) {
		buf = make([]byte, size)
	}
	copy(buf, r.buf[r.from:r.to])
	r.buf, r.from, r.to = buf, 0, held
}

// arm sets the Reader's own deadline before a read: the gap while a frame is
// unfinished, and the idle time of a grown buffer or a Reader that may rest. That one
// is left to run out, so that a busy link pays for it once in a while only.
func (r *Reader) arm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.gap > 0 && r.from < r.to:
		r.armed = time.Now().Add(r.gap)
	case len(r.buf) > firstBuffer || r.rest:
		if r.gap == 0 && !r.armed.IsZero() {
			return nil
		}
		r.armed, r.active = time.Now().Add(idleAfter), false
	case r.armed.IsZero():
		return nil
	default:
		r.armed = time.Time{}
	}
	return r.src.SetReadDeadline(earlier(r.deadline, r.armed))
}

// timedOut reports whether the Reader's own deadline has passed, and not the
// caller's.
func (r *Reader) timedOut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	return !r.armed.IsZero() && !now.Before(r.armed) && (r.deadline.IsZero() || now.Before(r.deadline))
}

// quiet is what the Reader does when its own deadline has passed: what is
// buffered is a frame where silence ends frames, and an empty grown buffer that
// was not used meanwhile is given back.
func (r *Reader) quiet() error {
	var silent error
	switch {
	case r.gap > 0 && r.from < r.to:
		r.silent = true
	case r.from < r.to || r.active:
	case r.rest:
		silent = ErrSilent
	case len(r.buf) > firstBuffer:
		r.buf, r.from, r.to = make([]byte, firstBuffer), 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = time.Time{}
	return errors.Join(silent, r.src.SetReadDeadline(r.deadline))
}

// earlier returns the earlier of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
