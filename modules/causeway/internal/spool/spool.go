// Package spool is store-and-forward on disk: entries of records are appended,
// synced, read back in order, and given up when they are delivered.
//
// It is built on the segments of github.com/hashicorp/raft-wal: its writer, frames
// and commits. Above them it differs from raft-wal's own log in what a gateway
// needs. That log refuses every append after a crash between filling a segment and
// beginning the next, keeps its list of segments in a database that a damaged page
// brings down, and returns damaged bytes unseen. Here
//
//   - the segment files are all there is: what they hold is found by reading their
//     headers, and no file lists them;
//   - a segment is written by one life of the process and only until a write fails;
//     the next append begins another, so that nothing old is ever written over;
//   - every entry carries how far delivery had come when it was written. A delivered
//     segment is deleted, and while only reading goes on, an entry without records
//     notes the progress once a second. After a crash what was delivered since comes
//     again, with the same ids;
//   - records are checked when they are read, see entry.go.
package spool

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

var (
	// ErrFull: the bound is reached; nothing of the call is kept.
	ErrFull = errors.New("spool full")
	// ErrTooLarge: the entries of the call do not fit into the spool at all.
	ErrTooLarge = errors.New("larger than the spool")
	// ErrClosed: the spool was closed.
	ErrClosed = errors.New("spool closed")
	// ErrInUse: another process has the directory.
	ErrInUse = errors.New("spool directory is in use")
	// ErrDamaged is what Observer.Damaged is told when bytes are not what was written.
	ErrDamaged = errors.New("damaged")
)

// Policy says what happens at the bound.
type Policy int

const (
	// Block refuses with ErrFull until something is delivered.
	Block Policy = iota
	// DropOldest gives up the oldest segment that nothing is read from at the moment.
	DropOldest
)

const (
	defaultBytes   = 256 << 20
	defaultSegment = 8 << 20
	// leastBytes keeps four segments of a sensible size.
	leastBytes = 256 << 10
	// segmentsLeast is how many segments fit at the least: space comes back by the
	// segment, and one is being written, one being read.
	segmentsLeast = 4
	// sweepEvery is how often delivery is noted on disk: as much may come again after
	// a crash.
	sweepEvery = time.Second
)

// Observer hears what an operator has to know. Its methods may be called at once from
// several goroutines; they return soon and do not call the spool.
type Observer interface {
	// Dropped: the bound was reached and the policy gave up records.
	Dropped(records int)
	// Damaged: something on disk could not be read, with so many records as far as is
	// known. It is skipped, and its file is set aside with the suffix .damaged once the
	// rest of it is delivered.
	Damaged(what string, records int, err error)
	// Failed: the disk cannot be written; with nil, it can again.
	Failed(err error)
}

// Options say where and how much. Zero values mean the defaults.
type Options struct {
	// Dir is the spool's own directory; it is made if need be.
	Dir string
	// Bytes bounds the segment files together. Default 256 MiB, at least 256 KiB.
	Bytes int64
	// Full says what happens at the bound. Default Block.
	Full Policy
	// SegmentBytes is the length of a segment file. Default 8 MiB, at most a quarter
	// of Bytes; a call of Append that is larger gets a segment of its own.
	SegmentBytes int
	// Observer is optional.
	Observer Observer
	// Files is the file layer, the real one when nil.
	Files Files
}

// Stats is a look at the spool.
type Stats struct {
	// Records and Entries wait for delivery; Bytes is what they take.
	Records, Entries int
	Bytes            int64
	// Disk is what the segment files take, reserved space included; the bound counts it.
	Disk int64
	// Oldest is when the oldest of them was written; zero when there is none. Its age
	// does not jump with the clock: what an earlier life has written is as old as the
	// clock said when the spool was opened, and never younger than that.
	Oldest time.Time
	// Dropped and Damaged count records given up since Open.
	Dropped, Damaged uint64
	// Failed tells that the last write failed, Err why. It stays after the disk works
	// again until something is written.
	Failed bool
	Err    error
	// Full tells that Append refused with ErrFull or ErrTooLarge, and that no room was
	// made and nothing was written since.
	Full bool
}

// Spool is a spool on disk. One goroutine may append, one read, and any ask for
// bounds and statistics or report delivery, which never wait for the disk.
//
// Locks are taken in the order in which they stand here.
type Spool struct {
	opts  Options
	filer *segment.Filer
	lock  io.Closer

	writing sync.Mutex // held while the disk is written
	tail    *tail      // nil: the next append begins a segment
	nextID  uint64
	encoded []byte
	batch   []types.LogEntry
	pause   time.Duration // of the next failure
	retry   time.Time     // nothing is written before
	marked  uint64        // the head that is noted on disk
	idle    uint64        // the next index when the sweeper last looked
	spare   bool          // room for a segment is kept for entries that are moved

	reading sync.Mutex // held while the disk is read
	open    types.ReadableFile
	openOf  *seg
	buf     []byte
	records [][]byte
	tries   int // how often the entry at the head of reading could not be read

	mu     sync.Mutex // held shortly
	segs   []*seg     // in order, the tail last
	next   uint64     // the index of the next entry
	first  uint64     // every entry below is done
	stats  Stats
	closed bool

	wake chan struct{} // cap 1: a segment can be deleted
	stop chan struct{}
	done chan struct{}
}

// tail is the segment being written.
type tail struct {
	*seg
	w     types.SegmentWriter
	limit int64
}

func (o *Options) defaults() error {
	if o.Bytes == 0 {
		o.Bytes = defaultBytes
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegment
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Files == nil {
		o.Files = disk{}
	}
	switch {
	case o.Dir == "":
		return errors.New("spool: no directory")
	case o.Bytes < leastBytes:
		return fmt.Errorf("spool: bytes %d: at least %d", o.Bytes, leastBytes)
	case o.SegmentBytes < 0:
		return fmt.Errorf("spool: segment bytes %d: not negative", o.SegmentBytes)
	}
	o.SegmentBytes = min(o.SegmentBytes, 1<<30) // raft-wal counts in 32 bits
	return nil
}

// Open opens the spool of a directory and finds what an earlier life left there: a
// torn tail is cut, what is damaged is reported and skipped. It writes nothing that
// it needs, so a read-only disk can still be delivered. Errors are ErrInUse, bad
// options, and a directory that cannot be made or listed.
func Open(opts Options) (*Spool, error) {
	s, err := open(opts)
	if err != nil {
		return nil, err
	}
	go s.sweepLoop()
	return s, nil
}

// open is Open without the sweeper.
func open(opts Options) (*Spool, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	s := &Spool{
		opts: opts, filer: segment.NewFiler(opts.Dir, opts.Files), next: 1, first: 1,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	lock, err := opts.Files.Lock(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("spool: lock directory: %w", err)
	}
	s.lock = lock
	if err := s.recover(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("spool: list directory: %w", err)
	}
	return s, nil
}

// Bounds returns the oldest index that is not done and the newest that was written;
// first > last means that there is nothing to deliver. Between them there may be
// entries that Read finds empty.
func (s *Spool) Bounds() (first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.Entries == 0 {
		return s.next, s.next - 1
	}
	return s.first, s.next - 1
}

// Stats returns a snapshot.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Failed = stats.Err != nil
	if seg, at := s.find(s.first); seg != nil && stats.Entries > 0 {
		stats.Oldest = seg.timeOf(at)
	}
	return stats
}

// Close notes what was delivered and gives the directory back. What is not
// delivered stays for the next Open. Append and Read give ErrClosed from then on.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	s.sweep(true)

	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.endTail()
	s.reading.Lock()
	defer s.reading.Unlock()
	s.closeReader()
	return errors.Join(err, s.lock.Close())
}

// nobody is the Observer of who asks for none.
type nobody struct{}

func (nobody) Dropped(int)                {}
func (nobody) Damaged(string, int, error) {}
func (nobody) Failed(error)               {}
