package hub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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

	devices  []string
	device   []string         // of each message taken
	receipts []*noted         // of all messages taken
	waiting  map[string][]int // numbers to be sent, by device, ascending
	flying   [][]int
	flights  []*flight // of flying
	settled  int
}

func newUplinkModel(t *rapid.T) *uplinkModel {
	opts := UplinkOptions{
		BatchBytes: rapid.IntRange(1, 2000).Draw(t, "batchBytes"),
		Window:     rapid.IntRange(1, 5).Draw(t, "window"),
		QueueBytes: rapid.IntRange(1, 20_000).Draw(t, "queueBytes"),
		Linger:     time.Millisecond,
	}
	// Far enough ahead that neither linger nor a pause holds anything back. Two devices
	// share a lane.
	return &uplinkModel{
		u: NewUplink(opts), opts: opts, now: time.Now().Add(24 * time.Hour), waiting: map[string][]int{},
		devices: []string{"device-0", "device-1", "device-2", sharing("device-0")},
	}
}

// sharing is another device of the same lane.
func sharing(device string) string {
	for i := 0; ; i++ {
		if other := "other-" + strconv.Itoa(i); laneOf(message.Hash(other)) == laneOf(message.Hash(device)) {
			return other
		}
	}
}

func (m *uplinkModel) Send(t *rapid.T) {
	size := rapid.IntRange(0, 900).Draw(t, "size")
	if rapid.IntRange(0, 19).Draw(t, "large") == 0 {
		size = messageLimit
	}
	full := m.u.Stats().Bytes >= m.opts.QueueBytes
	n, device := &noted{number: len(m.receipts)}, rapid.SampledFrom(m.devices).Draw(t, "device")
	err := m.u.TrySend([]message.Message{{
		Device: device, Seq: uint64(n.number), Output: "telemetry", Body: make([]byte, size),
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
		m.receipts, m.device = append(m.receipts, n), append(m.device, device)
		m.waiting[device] = append(m.waiting[device], n.number)
	}
}

// free are the devices of which something waits and nothing of their lane flies.
func (m *uplinkModel) free() (devices []string) {
	busy := map[int]bool{}
	for _, numbers := range m.flying {
		for _, n := range numbers {
			busy[laneOf(message.Hash(m.device[n]))] = true
		}
	}
	for _, d := range m.devices {
		if len(m.waiting[d]) > 0 && !busy[laneOf(message.Hash(d))] {
			devices = append(devices, d)
		}
	}
	return devices
}

func (m *uplinkModel) Next(t *rapid.T) {
	free := m.free()
	f, _ := m.u.next(m.now)
	if want := !m.closed && len(m.flying) < m.opts.Window && len(free) > 0; (f != nil) != want {
		t.Fatalf("a transfer leaves: %v, want %v", f != nil, want)
	}
	if f == nil {
		return
	}
	var numbers []int
	for _, b := range f.batches {
		for _, r := range b.receipts {
			numbers = append(numbers, r.(*noted).number)
		}
	}
	if len(m.u.transfer(f).Data) != len(numbers) || f.len() != len(numbers) {
		t.Fatalf("%d members on the wire, %d receipts", len(m.u.transfer(f).Data), len(numbers))
	}
	// Of each device the oldest that are not on the wire leave first, whatever came back
	// before.
	for _, n := range numbers {
		d := m.device[n]
		if !slices.Contains(free, d) || m.waiting[d][0] != n {
			t.Fatalf("%d of %s leaves, waiting are %v, of %v", n, d, m.waiting[d], free)
		}
		m.waiting[d] = m.waiting[d][1:]
	}
	m.flying, m.flights = append(m.flying, numbers), append(m.flights, f)
}

// land takes one transfer out of flight: nearly always the first.
func (m *uplinkModel) land(t *rapid.T) (*flight, []int) {
	if len(m.flying) == 0 {
		return nil, nil
	}
	i := 0
	if rapid.IntRange(0, 4).Draw(t, "out of order") == 0 {
		i = rapid.IntRange(0, len(m.flying)-1).Draw(t, "which")
	}
	f, numbers := m.flights[i], m.flying[i]
	m.flying, m.flights = slices.Delete(m.flying, i, i+1), slices.Delete(m.flights, i, i+1)
	return f, numbers
}

func (m *uplinkModel) back(numbers []int) {
	for _, n := range numbers {
		d := m.device[n]
		m.waiting[d] = append(m.waiting[d], n)
		slices.Sort(m.waiting[d])
	}
}

func (m *uplinkModel) left() (numbers []int) {
	for _, list := range m.waiting {
		numbers = append(numbers, list...)
	}
	return numbers
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
	if f, numbers := m.land(t); f != nil {
		m.u.accepted(f)
		m.check(t, numbers, nil)
	}
}

func (m *uplinkModel) Refuse(t *rapid.T) {
	switch f, numbers := m.land(t); {
	case f == nil:
	case len(numbers) > 1:
		m.u.isolate(f)
		m.back(numbers)
	default:
		refusal := fmt.Errorf("%w: bad", message.ErrRefused)
		m.u.refused(f, refusal)
		m.check(t, numbers, message.ErrRefused)
	}
}

func (m *uplinkModel) Again(t *rapid.T) {
	if f, numbers := m.land(t); f != nil {
		pause := rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "pause")
		m.u.again(f, pause, rapid.Bool().Draw(t, "pace"))
		m.back(numbers)
	}
}

func (m *uplinkModel) Recall(*rapid.T) {
	m.u.recall()
	for _, numbers := range m.flying {
		m.back(numbers)
	}
	m.flying, m.flights = nil, nil
}

func (m *uplinkModel) Close(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		return
	}
	left := m.left()
	for _, numbers := range m.flying {
		left = append(left, numbers...)
	}
	m.u.Close()
	m.closed, m.waiting, m.flying, m.flights = true, map[string][]int{}, nil, nil
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
	if len(m.u.free) > lanes+m.opts.Window || len(m.u.freeFlights) > m.opts.Window {
		t.Fatalf("%d batches and %d flights are kept for reuse, the window is %d",
			len(m.u.free), len(m.u.freeFlights), m.opts.Window)
	}
	m.books(t)
	settled := 0
	for _, r := range m.receipts {
		settled += r.times
	}
	if settled != m.settled {
		t.Fatalf("%d settlements, want %d", settled, m.settled)
	}
}

// books compares what the uplink has written down of its lanes with the lanes.
func (m *uplinkModel) books(t *rapid.T) {
	loose, waiting := 0, laneSet(0)
	for n := range m.u.lanes {
		l := &m.u.lanes[n]
		bytes := 0
		for _, b := range l.ready {
			bytes += len(b.bytes)
		}
		if l.open != nil {
			bytes += len(l.open.bytes)
		}
		if bytes != l.bytes {
			t.Fatalf("lane %d says %d bytes and has %d", n, l.bytes, bytes)
		}
		if !m.u.busy.has(n) {
			loose += bytes
		}
		if !l.empty() {
			waiting |= 1 << n
		}
	}
	if loose != m.u.loose || waiting != m.u.waiting {
		t.Fatalf("loose %d, waiting %x; want %d, %x", m.u.loose, m.u.waiting, loose, waiting)
	}
	busy := laneSet(0)
	for _, f := range m.flights {
		busy |= f.lanes
	}
	if busy != m.u.busy {
		t.Fatalf("busy %x, want %x", m.u.busy, busy)
	}
}

func TestUplinkKeepsToItsModelWhateverTheHubDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newUplinkModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"send": m.Send, "send more": m.Send, "next": m.Next, "next more": m.Next, "accept": m.Accept,
			"refuse": m.Refuse, "again": m.Again, "recall": m.Recall, "close": m.Close, "": m.Check,
		})
		for len(m.left()) > 0 || len(m.flying) > 0 { // in the end everything is accepted
			m.Next(t)
			m.Accept(t)
		}
		m.Check(t)
		if s := m.u.Stats(); s != (UplinkStats{Retried: s.Retried}) {
			t.Fatalf("after everything is settled stats say %+v", s)
		}
	})
}
