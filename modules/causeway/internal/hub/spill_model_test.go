package hub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// diskStore is a Store in memory that survives the uplink, and can fail.
type diskStore struct {
	mu         sync.Mutex
	entries    map[uint64][][]byte
	read       map[uint64]bool // and not done: these are not dropped
	ghosts     [][][]byte      // of the append that failed last: the next life may find them
	first      uint64
	last       uint64
	broken     bool
	unreadable bool
	meanwhile  func() // what happens while it is written
}

var errDisk = errors.New("disk full")

func newDiskStore() *diskStore {
	return &diskStore{entries: map[uint64][][]byte{}, read: map[uint64]bool{}, first: 1}
}

func (d *diskStore) Append(entries [][][]byte) (uint64, error) {
	if d.meanwhile != nil {
		d.meanwhile()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		d.ghosts = nil
		d.keep(entries[:len(entries)/2], func(kept [][]byte) { d.ghosts = append(d.ghosts, kept) })
		return 0, errDisk
	}
	from := d.last + 1
	d.keep(entries, func(kept [][]byte) {
		d.last++
		d.entries[d.last] = kept
	})
	d.ghosts = nil
	return from, nil
}

func (d *diskStore) keep(entries [][][]byte, each func([][]byte)) {
	for _, e := range entries {
		var kept [][]byte
		for _, m := range e {
			kept = append(kept, slices.Clone(m))
		}
		each(kept)
	}
}

func (d *diskStore) Read(index uint64) ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unreadable {
		return nil, errDisk
	}
	d.read[index] = true
	return d.entries[index], nil
}

func (d *diskStore) Bounds() (uint64, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.first <= d.last && d.entries[d.first] == nil {
		d.first++
	}
	return d.first, d.last
}

func (d *diskStore) Done(index uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.entries, index)
	delete(d.read, index)
}

// reopen is the next life's look at the disk.
func (d *diskStore) reopen() {
	clear(d.read)
	for _, e := range d.ghosts {
		d.last++
		d.entries[d.last] = e
	}
	d.ghosts, d.meanwhile = nil, nil
}

// spillModel drives an uplink with a disk the way a hub and a spiller do, with
// crashes, and notes what devices were told and what the cloud got.
type spillModel struct {
	u        *Uplink
	disk     *diskStore
	opts     UplinkOptions
	spill    SpillOptions
	most     int
	now      time.Time
	there    bool
	stored   bool // the uplink has its disk
	mixed    bool // a disk came late with a backlog: lives are not in order among each other
	life     int
	lives    map[string][]int // by device, in which life a message was taken
	receipts []*told
	flying   []*flight
	cloud    map[string][]int // sequence numbers by device, duplicates included
	gone     map[string]bool  // refused for good, or dropped from the disk
}

// told is a receipt that knows its message.
type told struct {
	device string
	seq    int
	times  int
	err    error
	left   func() UplinkStats
	late   bool // it was told when a drain had already ended
}

func (n *told) Settled(err error) {
	n.times, n.err = n.times+1, err
	n.late = err == nil && n.left().Messages == 0
}

func (n *told) key() string { return fmt.Sprintf("%s %d", n.device, n.seq) }

// boot begins a life, with the disk from the start or later.
func (m *spillModel) boot(late bool) {
	m.life++
	m.disk.reopen()
	m.u = NewUplink(m.opts)
	m.u.disk.most = m.most
	m.there, m.flying, m.stored = false, nil, false
	if first, last := m.disk.Bounds(); late && first <= last {
		m.mixed = true
	}
	if !late {
		m.open()
	}
}

func (m *spillModel) open() {
	m.u.UseStore(m.disk, m.spill)
	m.stored = true
}

// Open gives the uplink its disk late.
func (m *spillModel) Open(*rapid.T) {
	if !m.stored {
		m.open()
	}
}

// Send is one outcome: some messages of a device, all or none.
func (m *spillModel) Send(t *rapid.T) {
	device := "d" + strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "device"))
	var outcome []message.Message
	seq := len(m.lives[device])
	count := rapid.IntRange(1, 4).Draw(t, "messages")
	for i := range count {
		outcome = append(outcome, message.Message{
			Device: device, Seq: uint64(seq + i + 1), Body: fmt.Appendf(nil, "%s %d", device, seq+i+1),
		})
	}
	if rapid.IntRange(0, 60).Draw(t, "one is too large") == 60 {
		outcome[count-1].Body = append(outcome[count-1].Body, make([]byte, messageLimit)...)
	}
	receipts := &several{}
	for i := range count {
		receipts.each = append(receipts.each, &told{device: device, seq: seq + i + 1, left: m.u.Stats})
	}
	if len(outcome[count-1].Body) > messageLimit { // it is settled first, at once
		receipts.each = append(receipts.each[count-1:], receipts.each[:count-1]...)
		m.gone[receipts.each[0].key()] = true
	}
	err := m.u.TrySend(outcome, receipts)
	if errors.Is(err, message.ErrFull) {
		return
	}
	if err != nil {
		t.Fatalf("send gives %v", err)
	}
	m.receipts = append(m.receipts, receipts.each...)
	for range count {
		m.lives[device] = append(m.lives[device], m.life)
	}
}

// several is the receipt of an outcome: its messages are settled in their order.
type several struct {
	each []*told
	next int
}

func (s *several) Settled(err error) {
	s.each[min(s.next, len(s.each)-1)].Settled(err)
	s.next++
}

func (m *spillModel) Spill(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
	if !m.stored {
		return
	}
	m.disk.meanwhile = func() { m.meanwhile(t) }
	defer func() { m.disk.meanwhile = nil }()
	m.u.disk.retry, m.u.disk.reread = time.Time{}, time.Time{}
	m.u.enter(m.now)
	for _, step := range rapid.Permutation([]func(){
		func() { m.u.write() }, func() { m.u.load() }, func() { m.u.leave(m.now) },
	}).Draw(t, "steps") {
		step()
		if !m.u.disk.retry.IsZero() { // in the model's time
			m.u.disk.retry = m.now.Add(time.Second)
		}
	}
}

// meanwhile is what goes on while the disk is written.
func (m *spillModel) meanwhile(t *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(t, "meanwhile") {
		rapid.SampledFrom([]func(*rapid.T){
			m.Send, m.Next, m.Accept, m.Refuse, m.RefuseForGood, m.Lose, m.Connect, seldom(m.Disk),
		}).Draw(t, "what")(t)
	}
}

func (m *spillModel) Next(*rapid.T) {
	if !m.there {
		return
	}
	if f, _ := m.u.next(time.Now().Add(24 * time.Hour)); f != nil {
		m.flying = append(m.flying, f)
	}
}

// bodies reads encoded messages as the hub does.
func (m *spillModel) bodies(t *rapid.T, members [][]byte) (list []told) {
	for _, member := range members {
		var decoded amqp.Message
		if err := decoded.UnmarshalBinary(member); err != nil {
			t.Fatalf("the hub cannot read a message: %v", err)
		}
		var n told
		if _, err := fmt.Sscanf(string(decoded.GetData()), "%s %d", &n.device, &n.seq); err != nil {
			t.Fatalf("the hub reads %q", decoded.GetData())
		}
		list = append(list, n)
	}
	return list
}

// store is what the hub does with a transfer that arrived.
func (m *spillModel) store(t *rapid.T, f *flight) {
	for _, n := range m.bodies(t, m.u.transfer(f).Data) {
		m.cloud[n.device] = append(m.cloud[n.device], n.seq)
	}
}

// land is a transfer that the hub answers: it may take them in any order, and take one
// after it has refused an earlier one.
func (m *spillModel) land(t *rapid.T) *flight {
	if len(m.flying) == 0 {
		return nil
	}
	i := rapid.IntRange(0, len(m.flying)-1).Draw(t, "which")
	f := m.flying[i]
	m.flying = slices.Delete(m.flying, i, i+1)
	return f
}

func (m *spillModel) Accept(t *rapid.T) {
	if f := m.land(t); f != nil {
		m.store(t, f)
		m.u.accepted(f)
	}
}

// Refuse refuses a transfer that may be taken later, as a whole or in parts.
func (m *spillModel) Refuse(t *rapid.T) {
	switch f := m.land(t); {
	case f == nil:
	case f.len() > 1 && rapid.Bool().Draw(t, "isolate"):
		m.u.isolate(f)
	default:
		m.u.again(f, time.Minute, rapid.Bool().Draw(t, "pace"))
	}
}

// RefuseForGood refuses a transfer of one message.
func (m *spillModel) RefuseForGood(t *rapid.T) {
	i := slices.IndexFunc(m.flying, func(f *flight) bool { return f.len() == 1 })
	if i < 0 {
		return
	}
	f := m.flying[i]
	m.flying = slices.Delete(m.flying, i, i+1)
	m.gone[m.bodies(t, m.u.transfer(f).Data)[0].key()] = true
	m.u.refused(f, message.ErrRefused)
}

// Drop is the disk giving up its oldest, if that is not on its way.
func (m *spillModel) Drop(t *rapid.T) {
	first, last := m.disk.Bounds()
	if first > last || m.disk.read[first] {
		return
	}
	for _, n := range m.bodies(t, m.disk.entries[first]) {
		m.gone[n.key()] = true
	}
	m.disk.Done(first)
}

func (m *spillModel) Force(*rapid.T) { m.u.Force() }

func (m *spillModel) Always(t *rapid.T) {
	if m.stored {
		m.u.WriteAlways(rapid.Bool().Draw(t, "always"))
	}
}

func (m *spillModel) Unreadable(*rapid.T) { m.disk.unreadable = !m.disk.unreadable }

func (m *spillModel) Connect(*rapid.T) { m.there = true; m.u.reached(true) }

// Lose is a connection that ends; the hub may have stored some of what it carried.
func (m *spillModel) Lose(t *rapid.T) {
	for i := range rapid.IntRange(0, len(m.flying)).Draw(t, "stored unanswered") {
		m.store(t, m.flying[i])
	}
	m.flying, m.there = nil, false
	m.u.recall()
	m.u.reached(false)
	m.u.disk.away = m.now
}

func (m *spillModel) Disk(*rapid.T) { m.disk.broken = !m.disk.broken }

// Crash is kill -9: what devices were not told is sent again by them, which here
// means that nobody asks for it any more.
func (m *spillModel) Crash(t *rapid.T) {
	m.Lose(t)
	alive := m.receipts[:0]
	for _, n := range m.receipts {
		if n.times > 0 {
			alive = append(alive, n)
		}
	}
	m.receipts = alive
	m.boot(rapid.IntRange(0, 3).Draw(t, "late") == 3)
}

func (m *spillModel) Check(t *rapid.T) {
	for _, n := range m.receipts {
		if n.times > 1 {
			t.Fatalf("message %s settled %d times", n.key(), n.times)
		}
		if n.late {
			t.Fatalf("message %s was told of after it had left the account", n.key())
		}
	}
	m.account(t)
	for device, list := range m.cloud {
		newest := map[int]int{} // by life; 0 for all of them
		seen := map[int]bool{}
		for _, seq := range list {
			if m.gone[fmt.Sprintf("%s %d", device, seq)] {
				continue // what was refused comes again with its entry, and may then be taken
			}
			life := 0
			if m.mixed {
				life = m.lives[device][seq-1]
			}
			if !seen[seq] && seq < newest[life] {
				t.Fatalf("%s: %d comes to the cloud first after %d: %v", device, seq, newest[life], list)
			}
			seen[seq], newest[life] = true, max(newest[life], seq)
		}
	}
}

// account compares the books with what is there.
func (m *spillModel) account(t *rapid.T) {
	bytes, count, safe := 0, 0, 0
	add := func(b *batch) {
		if b.safe {
			safe += len(b.bytes)
			return
		}
		bytes += len(b.bytes)
		count += b.len()
	}
	m.u.each(add)
	for _, place := range [...][]*batch{m.u.disk.aside, m.u.disk.writing} {
		for _, b := range place {
			add(b)
		}
	}
	if s := m.u.Stats(); s.Bytes != bytes || s.Messages != count || m.u.disk.safe != safe {
		t.Fatalf("account %+v, safe %d, but there are %d bytes, %d messages, safe %d",
			s, m.u.disk.safe, bytes, count, safe)
	}
	if len(m.u.flying) != len(m.flying) {
		t.Fatalf("%d in flight, the hub has %d", len(m.u.flying), len(m.flying))
	}
}

// settle lets everything come to its end; a disk that stays broken does not hinder it.
func (m *spillModel) settle(t *rapid.T) {
	m.disk.unreadable = false
	m.Open(t)
	if m.disk.broken {
		m.u.WriteAlways(false)
	}
	m.Connect(t)
	for range 10_000 {
		m.now = m.now.Add(time.Second)
		m.u.disk.retry, m.u.disk.reread = time.Time{}, time.Time{}
		m.u.enter(m.now)
		worked := m.u.write()
		worked = m.u.load() || worked
		if !m.u.disk.retry.IsZero() {
			m.u.disk.retry = m.now.Add(time.Second)
		}
		m.u.leave(m.now)
		m.Next(t)
		m.Accept(t)
		if !worked && len(m.flying) == 0 && m.u.Stats().Messages == 0 && !m.u.Left() {
			return
		}
	}
	t.Fatalf("it does not come to an end: %+v, safe %d, spooling %v", m.u.Stats(), m.u.disk.safe, m.u.disk.spooling)
}

// seldom lets something come to a life before what ends it.
func seldom(action func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 3).Draw(t, "seldom") == 0 {
			action(t)
		}
	}
}

// verdict compares what devices were told with what the cloud got.
func (m *spillModel) verdict(t *rapid.T) {
	for _, n := range m.receipts {
		if n.times != 1 || n.err != nil && !m.gone[n.key()] {
			t.Fatalf("message %s settled %d times with %v", n.key(), n.times, n.err)
		}
		if !m.gone[n.key()] && !slices.Contains(m.cloud[n.device], n.seq) {
			t.Fatalf("message %s was acknowledged and is lost: %v", n.key(), m.cloud[n.device])
		}
	}
	if first, last := m.disk.Bounds(); first <= last {
		t.Fatalf("the disk still holds %d to %d", first, last)
	}
}

func TestWhatDevicesWereToldIsDeliveredInOrderWhateverHappensToHubDiskAndProcess(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &spillModel{
			disk:  newDiskStore(),
			opts:  UplinkOptions{BatchBytes: rapid.IntRange(1, 900).Draw(t, "batch"), Window: 3, QueueBytes: 3000},
			spill: SpillOptions{Always: rapid.Bool().Draw(t, "always")},
			most:  rapid.IntRange(1, 2000).Draw(t, "most"),
			now:   time.Now(), lives: map[string][]int{}, cloud: map[string][]int{}, gone: map[string]bool{},
		}
		m.boot(rapid.Bool().Draw(t, "late"))
		t.Repeat(map[string]func(*rapid.T){
			"send": m.Send, "spill": m.Spill, "next": m.Next, "accept": m.Accept, "refuse": m.Refuse,
			"refuse for good": m.RefuseForGood, "connect": m.Connect, "lose": seldom(m.Lose), "disk": seldom(m.Disk), "crash": seldom(m.Crash),
			"drop": seldom(m.Drop), "force": m.Force, "always": seldom(m.Always), "unreadable": seldom(m.Unreadable),
			"open": m.Open, "send more": m.Send, "spill more": m.Spill, "next more": m.Next, "": m.Check,
		})
		m.settle(t)
		m.Check(t)
		m.verdict(t)
	})
}
