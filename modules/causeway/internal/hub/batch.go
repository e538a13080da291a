package hub

import (
	"math/bits"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// batch is messages of one lane, encoded back to back, each with its receipt. It
// travels as a whole until the hub refuses it. Its memory is reused.
type batch struct {
	lane     int
	bytes    []byte
	ends     []int // where each member ends in bytes
	receipts []message.Receipt
	began    time.Time // when it got its first member
	alone    bool      // it leaves in a transfer of its own: one that held it was refused
	tries    int       // how often it was refused with a condition that will pass
	faults   int       // how often it met an internal error of the hub, alone, or see charge
	faulted  time.Time // the first time, in charge the last
	blames   int       // how many connections have ended over it, see blame
	entry    *entry    // where it is on disk, nil for nowhere
	safe     bool      // it is on disk: its receipts are settled
}

const (
	// batchRoom holds a batch of the default size with its last message, if that is none
	// of the large.
	batchRoom = 64 << 10
	// memberRoom is more than what most messages are longer than their body.
	memberRoom = 512
)

// room makes room for a message. Append by itself would grow beyond what a batch needs,
// for each of a hundred of them.
func (b *batch) room(body int) {
	need := len(b.bytes) + body + memberRoom
	if need <= cap(b.bytes) || need > batchRoom {
		return
	}
	size := 1 << bits.Len(uint(need-1)) //nolint:gosec // not negative
	b.bytes = append(make([]byte, 0, size), b.bytes...)
}

// add takes what was appended to bytes as the next member.
func (b *batch) add(r message.Receipt) {
	b.ends = append(b.ends, len(b.bytes))
	b.receipts = append(b.receipts, r)
}

// undo takes the last member out again.
func (b *batch) undo() {
	n := len(b.ends) - 1
	b.ends, b.receipts[n] = b.ends[:n], nil
	b.receipts = b.receipts[:n]
	b.bytes = b.bytes[:b.start(n)]
}

func (b *batch) len() int { return len(b.ends) }

func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// appendMembers appends the encoded messages, which stay valid while the batch is not
// changed.
func (b *batch) appendMembers(dst [][]byte) [][]byte {
	for i, end := range b.ends {
		dst = append(dst, b.bytes[b.start(i):end:end])
	}
	return dst
}

// copyMembers returns the encoded messages in memory of their own.
func (b *batch) copyMembers() [][]byte {
	whole := batch{bytes: append([]byte(nil), b.bytes...), ends: b.ends}
	return whole.appendMembers(make([][]byte, 0, b.len()))
}

// settle tells every receipt what became of its message; those of one outcome stand
// together.
func (b *batch) settle(err error) {
	for from := 0; from < len(b.receipts); {
		r, to := b.receipts[from], from+1
		for to < len(b.receipts) && b.receipts[to] == r {
			to++
		}
		if r != nil {
			message.Settle(r, to-from, err)
		}
		from = to
	}
	clear(b.receipts)
}

// splitAt moves the members from the given one on into other, which is empty.
func (b *batch) splitAt(at int, other *batch) {
	from := b.start(at)
	other.lane = b.lane
	other.bytes = append(other.bytes, b.bytes[from:]...)
	for _, end := range b.ends[at:] {
		other.ends = append(other.ends, end-from)
	}
	other.receipts = append(other.receipts, b.receipts[at:]...)
	other.began, other.alone = b.began, b.alone
	if other.entry, other.safe = b.entry, b.safe; b.entry != nil {
		b.entry.left++
	}
	clear(b.receipts[at:])
	b.bytes, b.ends, b.receipts = b.bytes[:from], b.ends[:at], b.receipts[:at]
}

func (b *batch) reset() {
	clear(b.receipts)
	*b = batch{bytes: b.bytes[:0], ends: b.ends[:0], receipts: b.receipts[:0]}
}
