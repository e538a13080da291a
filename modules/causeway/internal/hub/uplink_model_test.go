package hub

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// noted is a receipt that remembers how often and with what it was settled.
type noted struct {
	number int
	times  int
	err    error
}

func (n *noted) Settled(err error) { n.times, n.err = n.times+1, err }

// uplinkModel is what an uplink has to look like from outside: the messages that
// were taken, by number, and where each of them is.
type uplinkModel struct {
	u      *Uplink
	opts   UplinkOptions
	now    time.Time
	closed bool

	receipts []*noted // of all messages taken
	waiting  []int    // numbers to be sent, ascending
	flying   [][]int
	batches  []*batch // of flying
	settled  int
	careful  int // numbers below it leave one batch at a time
}

func newUplinkModel(t *rapid.T) *uplinkModel {
	opts := UplinkOptions{
		BatchBytes: rapid.IntRange(1, 2000).Draw(t, "batchBytes"),
		Window:     rapid.IntRange(1, 5).Draw(t, "window"),
		QueueBytes: rapid.IntRange(1, 20_000).Draw(t, "queueBytes"),
		Linger:     time.Millisecond,
	}
	// Far enough ahead that neither linger nor a pause holds anything back.
	return &uplinkModel{u: NewUplink(opts), opts: opts, now: time.Now().Add(24 * time.Hour)}
}

func (m *uplinkModel) Send(t *rapid.T) {
	size := rapid.IntRange(0, 900).Draw(t, "size")
	if rapid.IntRange(0, 19).Draw(t, "large") == 0 {
		size = messageLimit
	}
	full := m.u.Stats().Bytes >= m.opts.QueueBytes
	n := &noted{number: len(m.receipts)}
	err := m.u.TrySend([]message.Message{{
		Device: "d", Seq: uint64(n.number), Output: "telemetry", Body: make([]byte, size),
	}}, n)
	var want error
	switch {
	case m.closed:
		want = message.ErrClosed
	case full:
		want = message.ErrFull
	case size >= messageLimit:
		if n.times != 1 || !errors.Is(n.err, message.ErrRefused) {
			t.Fatalf("a message that is too large is settled %d times with %v", n.times, n.err)
		}
		return
	}
	if !errors.Is(err, want) {
		t.Fatalf("send gives %v, want %v", err, want)
	}
	if err == nil {
		m.receipts, m.waiting = append(m.receipts, n), append(m.waiting, n.number)
	}
}

func (m *uplinkModel) Next(t *rapid.T) {
	b, _ := m.u.next(m.now)
	if len(m.flying) == 0 && (len(m.waiting) == 0 || m.waiting[0] >= m.careful) {
		m.careful = 0
	}
	window := m.opts.Window
	if m.careful > 0 {
		window = 1
	}
	if want := !m.closed && len(m.flying) < window && len(m.waiting) > 0; (b != nil) != want {
		t.Fatalf("a batch is there: %v, want %v", b != nil, want)
	}
	if b == nil {
		return
	}
	var numbers []int
	for _, r := range b.receipts {
		numbers = append(numbers, r.(*noted).number)
	}
	if len(b.transfer().Data) != len(numbers) {
		t.Fatalf("%d members on the wire, %d receipts", len(b.wire.Data), len(numbers))
	}
	// The oldest that are not on the wire leave first, whatever came back before.
	if !slices.Equal(numbers, m.waiting[:len(numbers)]) {
		t.Fatalf("%v leave, waiting are %v", numbers, m.waiting)
	}
	m.waiting = slices.Clone(m.waiting[len(numbers):])
	m.flying, m.batches = append(m.flying, numbers), append(m.batches, b)
}

// land takes one batch out of flight: nearly always the first.
func (m *uplinkModel) land(t *rapid.T) (*batch, []int) {
	if len(m.flying) == 0 {
		return nil, nil
	}
	i := 0
	if rapid.IntRange(0, 4).Draw(t, "out of order") == 0 {
		i = rapid.IntRange(0, len(m.flying)-1).Draw(t, "which")
	}
	b, numbers := m.batches[i], m.flying[i]
	m.flying, m.batches = slices.Delete(m.flying, i, i+1), slices.Delete(m.batches, i, i+1)
	return b, numbers
}

func (m *uplinkModel) back(numbers []int) {
	m.waiting = append(m.waiting, numbers...)
	slices.Sort(m.waiting)
}

func (m *uplinkModel) check(t *rapid.T, numbers []int, want error) {
	m.settled += len(numbers)
	for _, n := range numbers {
		if r := m.receipts[n]; r.times != 1 || !errors.Is(r.err, want) {
			t.Fatalf("message %d settled %d times with %v, want once with %v", n, r.times, r.err, want)
		}
	}
}

func (m *uplinkModel) Accept(t *rapid.T) {
	if b, numbers := m.land(t); b != nil {
		m.u.accepted(b)
		m.check(t, numbers, nil)
	}
}

func (m *uplinkModel) Refuse(t *rapid.T) {
	switch b, numbers := m.land(t); {
	case b == nil:
	case len(numbers) > 1:
		m.u.halve(b)
		m.back(numbers)
		m.careful = max(m.careful, numbers[len(numbers)-1]+1)
	default:
		refusal := fmt.Errorf("%w: bad", message.ErrRefused)
		m.u.refused(b, refusal)
		m.check(t, numbers, message.ErrRefused)
	}
}

func (m *uplinkModel) Again(t *rapid.T) {
	if b, numbers := m.land(t); b != nil {
		m.u.again(b, rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "pause"))
		m.back(numbers)
		m.careful = max(m.careful, numbers[len(numbers)-1]+1)
	}
}

func (m *uplinkModel) Recall(*rapid.T) {
	m.u.recall()
	for _, numbers := range m.flying {
		m.back(numbers)
	}
	m.flying, m.batches = nil, nil
}

func (m *uplinkModel) Close(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		return
	}
	left := m.waiting
	for _, numbers := range m.flying {
		left = append(left, numbers...)
	}
	m.u.Close()
	m.closed, m.waiting, m.flying, m.batches = true, nil, nil, nil
	m.check(t, left, message.ErrClosed)
}

// Check looks at what holds after every step.
func (m *uplinkModel) Check(t *rapid.T) {
	s := m.u.Stats()
	if s.Messages != len(m.receipts)-m.settled || s.Batches != len(m.flying) {
		t.Fatalf("stats say %+v, want %d messages and %d batches", s, len(m.receipts)-m.settled, len(m.flying))
	}
	if (s.Messages == 0) != (s.Bytes == 0) || s.Bytes < 0 || (s.Messages == 0) != s.Oldest.IsZero() {
		t.Fatalf("stats do not fit together: %+v", s)
	}
	if s.Bytes > m.opts.QueueBytes+2000 { // the message that reached the bound
		t.Fatalf("%d bytes are queued, the bound is %d", s.Bytes, m.opts.QueueBytes)
	}
	if len(m.u.free) > m.opts.Window {
		t.Fatalf("%d batches are kept for reuse, the window is %d", len(m.u.free), m.opts.Window)
	}
	settled := 0
	for _, r := range m.receipts {
		settled += r.times
	}
	if settled != m.settled {
		t.Fatalf("%d settlements, want %d", settled, m.settled)
	}
}

func TestUplinkKeepsToItsModelWhateverTheHubDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newUplinkModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"send": m.Send, "send more": m.Send, "next": m.Next, "next more": m.Next, "accept": m.Accept,
			"refuse": m.Refuse, "again": m.Again, "recall": m.Recall, "close": m.Close, "": m.Check,
		})
		for len(m.waiting) > 0 || len(m.flying) > 0 { // in the end everything is accepted
			m.Next(t)
			m.Accept(t)
		}
		m.Check(t)
		if s := m.u.Stats(); s != (UplinkStats{}) {
			t.Fatalf("after everything is settled stats say %+v", s)
		}
	})
}
