package plugin

import (
	"fmt"
	"time"
)

const (
	// maxParts and maxUploads bound what is being delivered: a part has at most some 96 KiB,
	// since a direct method has 128 KiB.
	maxParts   = 1024
	maxUploads = 4
	// uploadPatience is how long an unfinished delivery is kept after its last part.
	uploadPatience = 10 * time.Minute
)

// Part is a piece of a program.
type Part struct {
	// SHA256 is that of the whole program, in lower-case hexadecimal.
	SHA256 string
	// Number counts from 1 to Of.
	Number, Of int
	Bytes      []byte
}

// upload is a program of which not all parts have come.
type upload struct {
	parts   [][]byte
	missing int
	bytes   int
	last    time.Time
}

// Put takes a part of a program and returns how many are missing. Parts may come in any
// order, and again. With the last one the program is kept under its digest, for a codec
// whose source is put:. Errors wrap ErrSource, ErrTooLarge or ErrDigest; with ErrDigest
// the parts are forgotten.
func (l *Library) Put(p Part, now time.Time) (missing int, err error) {
	source := Source{URL: "put:", SHA256: p.SHA256}
	if err := source.Check(); err != nil {
		return 0, err
	}
	switch {
	case p.Of < 1 || p.Of > maxParts:
		return 0, fmt.Errorf("%w: %d parts, 1 to %d are allowed", ErrSource, p.Of, maxParts)
	case p.Number < 1 || p.Number > p.Of:
		return 0, fmt.Errorf("%w: part %d of %d", ErrSource, p.Number, p.Of)
	case len(p.Bytes) == 0:
		return 0, fmt.Errorf("%w: part %d is empty", ErrSource, p.Number)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.kept(p.SHA256); err == nil {
		delete(l.uploads, p.SHA256)
		return 0, nil
	}
	u, err := l.upload(p, now)
	if err != nil {
		return 0, err
	}
	if old := u.parts[p.Number-1]; old == nil {
		u.missing--
	} else {
		u.bytes -= len(old)
	}
	u.parts[p.Number-1], u.last = p.Bytes, now
	if u.bytes += len(p.Bytes); u.bytes > MaxBytes {
		delete(l.uploads, p.SHA256)
		return 0, fmt.Errorf("%w: at most %d bytes are allowed", ErrTooLarge, MaxBytes)
	}
	if u.missing > 0 {
		return u.missing, nil
	}
	delete(l.uploads, p.SHA256)
	whole := make([]byte, 0, u.bytes)
	for _, part := range u.parts {
		whole = append(whole, part...)
	}
	if digest := digestOf(whole); digest != p.SHA256 {
		return 0, fmt.Errorf("%w: the parts have %s, want %s", ErrDigest, digest, p.SHA256)
	}
	if err := l.write(p.SHA256, whole); err != nil {
		return 0, fmt.Errorf("keep program: %w", err)
	}
	return 0, nil
}

// upload finds or begins the delivery that a part belongs to.
func (l *Library) upload(p Part, now time.Time) (*upload, error) {
	for digest, u := range l.uploads {
		if now.Sub(u.last) > uploadPatience {
			delete(l.uploads, digest)
		}
	}
	u := l.uploads[p.SHA256]
	switch {
	case u != nil && len(u.parts) != p.Of:
		return nil, fmt.Errorf("%w: %d parts, the earlier ones said %d", ErrSource, p.Of, len(u.parts))
	case u != nil:
		return u, nil
	case len(l.uploads) >= maxUploads:
		return nil, fmt.Errorf("%w: %d deliveries are not finished, at most %d are allowed",
			ErrSource, len(l.uploads), maxUploads)
	}
	u = &upload{parts: make([][]byte, p.Of), missing: p.Of}
	l.uploads[p.SHA256] = u
	return u, nil
}
