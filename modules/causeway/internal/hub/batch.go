package hub

import (
	"time"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// batchFormat is the message format of IoT Hub's batches: every data section is
// one encoded message (EventsLinkHandler.cs).
const batchFormat = 0x80013700

// batch is messages on their way in one transfer: encoded back to back, each
// with its receipt. Its memory is reused.
type batch struct {
	bytes    []byte
	ends     []int // where each member ends in bytes
	receipts []message.Receipt
	order    uint64    // the number of its first member among all messages of the uplink
	began    time.Time // when it got its first member
	sent     time.Time // when it was last put on the wire
	tries    int       // how often it was refused with a condition that will pass
	faults   int       // how often it met an internal error of the hub, alone
	faulted  time.Time // the first time
	entry    *entry    // where it is on disk, nil for nowhere
	safe     bool      // it is on disk: its receipts are settled

	wire    amqp.Message
	members [][]byte
	receipt amqp.SendReceipt
}

// add encodes a message as the next member.
func (b *batch) add(m *message.Message, r message.Receipt) {
	b.bytes = appendMessage(b.bytes, m)
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

// transfer returns the batch as the message to send; it stays valid while the
// batch is not changed.
func (b *batch) transfer() *amqp.Message {
	b.members = b.members[:0]
	for i, end := range b.ends {
		b.members = append(b.members, b.bytes[b.start(i):end])
	}
	b.wire = amqp.Message{Format: batchFormat, Data: b.members}
	return &b.wire
}

// copyMembers returns the encoded messages in memory of their own.
func (b *batch) copyMembers() [][]byte {
	whole := append([]byte(nil), b.bytes...)
	members := make([][]byte, 0, b.len())
	for i, end := range b.ends {
		members = append(members, whole[b.start(i):end:end])
	}
	return members
}

// settle tells every receipt what became of its message.
func (b *batch) settle(err error) {
	for i, r := range b.receipts {
		if r != nil {
			r.Settled(err)
		}
		b.receipts[i] = nil
	}
}

// splitAt moves the members from the given one on into other, which is empty.
func (b *batch) splitAt(at int, other *batch) {
	from := b.start(at)
	other.bytes = append(other.bytes, b.bytes[from:]...)
	for _, end := range b.ends[at:] {
		other.ends = append(other.ends, end-from)
	}
	other.receipts = append(other.receipts, b.receipts[at:]...)
	other.order, other.began = b.order+uint64(at), b.began //nolint:gosec // a count is not negative
	if other.entry, other.safe = b.entry, b.safe; b.entry != nil {
		b.entry.left++
	}
	clear(b.receipts[at:])
	b.bytes, b.ends, b.receipts = b.bytes[:from], b.ends[:at], b.receipts[:at]
}

func (b *batch) reset() {
	clear(b.receipts)
	clear(b.members)
	b.bytes, b.ends, b.receipts, b.members = b.bytes[:0], b.ends[:0], b.receipts[:0], b.members[:0]
	b.order, b.began, b.sent, b.tries = 0, time.Time{}, time.Time{}, 0
	b.faults, b.faulted = 0, time.Time{}
	b.wire, b.receipt, b.entry, b.safe = amqp.Message{}, amqp.SendReceipt{}, nil, false
}
