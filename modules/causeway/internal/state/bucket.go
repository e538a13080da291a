package state

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// sumBytes is the CRC-32C that precedes every value.
const sumBytes = 4

// Bucket is the keys and values of one room, within one View or Update. Keys are
// not empty, and in ascending order of their bytes.
type Bucket struct {
	in  *bbolt.Bucket // nil while nothing was ever written
	sum *crc32.Table
}

// Get returns the value under a key, borrowed. The error is ErrNone or ErrDamaged.
func (b *Bucket) Get(key []byte) ([]byte, error) {
	if b.in == nil {
		return nil, ErrNone
	}
	stored := b.in.Get(key)
	if stored == nil {
		return nil, ErrNone
	}
	return b.value(stored)
}

func (b *Bucket) value(stored []byte) ([]byte, error) {
	if len(stored) < sumBytes || crc32.Checksum(stored[sumBytes:], b.sum) != binary.BigEndian.Uint32(stored) {
		return nil, ErrDamaged
	}
	return stored[sumBytes:], nil
}

// Put stores a value under a key, which it replaces. Update only.
func (b *Bucket) Put(key, value []byte) error {
	stored := make([]byte, sumBytes, sumBytes+len(value))
	binary.BigEndian.PutUint32(stored, crc32.Checksum(value, b.sum))
	return b.in.Put(key, append(stored, value...))
}

// Delete removes a key, which need not be there. Update only.
func (b *Bucket) Delete(key []byte) error { return b.in.Delete(key) }

// Ascend calls fn with each key after the given one (nil: with all), in ascending
// order, until it returns false. A value that is damaged is given as nil.
func (b *Bucket) Ascend(after []byte, fn func(key, value []byte) bool) {
	if b.in == nil {
		return
	}
	c := b.in.Cursor()
	key, stored := c.Seek(after)
	if key != nil && bytes.Equal(key, after) {
		key, stored = c.Next()
	}
	for ; key != nil; key, stored = c.Next() {
		value, _ := b.value(stored) // damaged is nil
		if !fn(key, value) {
			return
		}
	}
}

// Last returns the highest key, nil for none, borrowed.
func (b *Bucket) Last() []byte {
	if b.in == nil {
		return nil
	}
	key, _ := b.in.Cursor().Last()
	return key
}
