package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const algorithms = "gzip, zlib, deflate, zstd"

// errBomb says that the output would be over its bound.
var errBomb = errors.New("decompressed it is over the bound")

// compression is one algorithm both ways. Its functions append to dst and are safe for
// concurrent use.
type compression struct {
	name       string
	decompress func(dst, src []byte) ([]byte, error)
	compress   func(dst, src []byte) ([]byte, error)
}

// newCompression makes one whose output on the way up has at most most bytes.
func newCompression(at, name string, most int) (*compression, error) {
	if most < 1 || most > mostBytes {
		return nil, codec.Optionf("/maxBytes", "got %d, allowed are 1 to %d", most, mostBytes)
	}
	c := &compression{name: name}
	switch name {
	case "gzip":
		c.pooled(most, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			func(w io.Writer) writer { return gzip.NewWriter(w) })
	case "zlib":
		c.pooled(most, func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
			func(w io.Writer) writer { return zlib.NewWriter(w) })
	case "deflate":
		c.pooled(most, func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
			func(w io.Writer) writer {
				made, _ := flate.NewWriter(w, flate.DefaultCompression) // the level is allowed
				return made
			})
	case "zstd":
		return c, c.zstd(most)
	default:
		return nil, codec.Optionf(at, "got %q, want one of %s", name, algorithms)
	}
	return c, nil
}

// writer is what the writers of the stream formats have in common.
type writer interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// pooled makes both ways of a stream format; readers and writers hold tens of KiB, so
// they are used again.
func (c *compression) pooled(most int, read func(io.Reader) (io.Reader, error), write func(io.Writer) writer) {
	var readers, writers sync.Pool
	c.decompress = func(dst, src []byte) ([]byte, error) {
		source := bytes.NewReader(src)
		r, err := reused(&readers, source, read)
		if err != nil {
			return dst, err
		}
		out, err := appendAll(dst, r, most)
		if err == nil && source.Len() > 0 {
			return dst, fmt.Errorf("%d bytes follow the data", source.Len())
		}
		if err == nil {
			readers.Put(r)
		}
		return out, err
	}
	c.compress = func(dst, src []byte) ([]byte, error) {
		out := &appender{dst}
		w, ok := writers.Get().(writer)
		if ok {
			w.Reset(out)
		} else {
			w = write(out)
		}
		if _, err := w.Write(src); err != nil {
			return dst, err
		}
		if err := w.Close(); err != nil {
			return dst, err
		}
		w.Reset(io.Discard)
		writers.Put(w)
		return out.b, nil
	}
}

// reused takes a reader from the pool, or makes one.
func reused(pool *sync.Pool, source *bytes.Reader, read func(io.Reader) (io.Reader, error)) (io.Reader, error) {
	var err error
	switch r := pool.Get().(type) {
	case *gzip.Reader:
		if err = r.Reset(source); err == nil {
			return r, nil
		}
	case zlib.Resetter: // flate's readers too
		if err = r.Reset(source, nil); err == nil {
			if made, ok := r.(io.Reader); ok {
				return made, nil
			}
		}
	default:
		return read(source)
	}
	return nil, err
}

// appender writes to the end of a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// appendAll reads to the end; more than most bytes are an error, and are not kept.
func appendAll(dst []byte, r io.Reader, most int) ([]byte, error) {
	const chunk = 512
	at := len(dst)
	for {
		if cap(dst)-len(dst) < chunk {
			dst = append(dst, make([]byte, max(chunk, len(dst)-at))...)[:len(dst)]
		}
		room := min(cap(dst), at+most+1)
		n, err := r.Read(dst[len(dst):room])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-at > most:
			return dst[:at], fmt.Errorf("%w of %d bytes", errBomb, most)
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst[:at], err
		}
	}
}

// zstd needs no pool: its coders have one.
func (c *compression) zstd(most int) error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(mostBytes), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return codec.Optionf("/algorithm", "%v", err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return codec.Optionf("/algorithm", "%v", err)
	}
	c.decompress = func(dst, src []byte) ([]byte, error) {
		if len(src) == 0 {
			return dst, io.ErrUnexpectedEOF
		}
		// The decoder's own bound of memory would also refuse small frames of encoders that
		// announce a large window, so it is the capacity that bounds, tried in steps.
		const least, factor = 1 << 10, 4
		for size := max(least, factor*len(src)); ; size *= factor {
			size = min(size, most)
			if cap(dst)-len(dst) < size {
				dst = append(make([]byte, 0, len(dst)+size), dst...)
			}
			out, err := decoder.DecodeAll(src, dst[len(dst):len(dst):len(dst)+size])
			switch {
			case errors.Is(err, zstd.ErrDecoderSizeExceeded) && size < most:
			case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && len(out) > most:
				return dst, fmt.Errorf("%w of %d bytes", errBomb, most)
			case err != nil:
				return dst, err
			default:
				return append(dst, out...), nil // onto itself
			}
		}
	}
	c.compress = func(dst, src []byte) ([]byte, error) { return encoder.EncodeAll(src, dst), nil }
	return nil
}

func parseDecompress(raw json.RawMessage) (*frameStage, error) {
	s := struct {
		Type      string `json:"type"`
		Algorithm string `json:"algorithm"`
		MaxBytes  int    `json:"maxBytes"`
		Answers   bool   `json:"answers"`
	}{MaxBytes: defaultBytes, Answers: true}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	c, err := newCompression("/algorithm", s.Algorithm, s.MaxBytes)
	if err != nil {
		return nil, err
	}
	return &frameStage{name: c.name, answers: s.Answers, open: c.decompress, seal: c.compress}, nil
}

// inflate is the stage of bodies that decompresses them.
type inflate struct{ *compression }

func parseBodyDecompress(raw json.RawMessage) (bodyStage, error) {
	s := struct {
		Type      string `json:"type"`
		Algorithm string `json:"algorithm"`
		MaxBytes  int    `json:"maxBytes"`
	}{MaxBytes: defaultBytes}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	c, err := newCompression("/algorithm", s.Algorithm, s.MaxBytes)
	if err != nil {
		return nil, err
	}
	return inflate{c}, nil
}

func (s inflate) String() string { return s.name }

func (inflate) takes(*codec.Message) bool { return true }

func (s inflate) change(dst []byte, m *codec.Message) ([]byte, error) {
	return s.decompress(dst, m.Body)
}

func (inflate) mark(m *codec.Message) { m.ContentEncoding = "" }

// deflate is the stage of bodies that compresses them.
type deflate struct {
	*compression
	minBytes int
}

func parseCompress(raw json.RawMessage) (bodyStage, error) {
	var s struct {
		Type      string `json:"type"`
		Algorithm string `json:"algorithm"`
		MinBytes  int    `json:"minBytes"`
	}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	if s.MinBytes < 0 || s.MinBytes > maxBody {
		return nil, codec.Optionf("/minBytes", "got %d, allowed are 0 to %d", s.MinBytes, maxBody)
	}
	c, err := newCompression("/algorithm", s.Algorithm, defaultBytes)
	if err != nil {
		return nil, err
	}
	return deflate{c, s.MinBytes}, nil
}

func (s deflate) String() string { return s.name }

func (s deflate) takes(m *codec.Message) bool { return len(m.Body) >= s.minBytes }

func (s deflate) change(dst []byte, m *codec.Message) ([]byte, error) { return s.compress(dst, m.Body) }

func (s deflate) mark(m *codec.Message) {
	m.ContentEncoding = s.name
	if s.name == "zlib" { // what HTTP calls deflate is zlib's format
		m.ContentEncoding = "deflate"
	}
}
