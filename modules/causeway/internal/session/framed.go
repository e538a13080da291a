package session

import (
	"slices"

	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// uncutKept bounds what is kept of a stream that cannot be cut: the default limit
// of a frame.
const uncutKept = 64 << 10

// framed is an error that ends a link, with the received bytes that it is about, in
// memory of their own: they are reported when the frame is gone.
type framed struct {
	err   error
	bytes []byte
	uncut bool
}

func (f *framed) Error() string { return f.err.Error() }
func (f *framed) Unwrap() error { return f.err }

func aboutFrame(err error, b []byte) error { return &framed{err: err, bytes: slices.Clone(b)} }

// aboutRest is for an error of the reader.
func aboutRest(err error, r *frame.Reader) error {
	b := r.Offending()
	return &framed{err: err, bytes: slices.Clone(b[:min(len(b), uncutKept)]), uncut: true}
}
