package hub

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// diskStore is a Store in memory that survives the uplink, and can fail.
type diskStore struct {
	entries map[uint64][][]byte
	first   uint64
	last    uint64
	broken  bool
}

var errDisk = errors.New("disk full")

func (d *diskStore) Append(entries [][][]byte) (uint64, error) {
	if d.broken {
		return 0, errDisk
	}
	from := d.last + 1
	for _, e := range entries {
		var kept [][]byte
		for _, m := range e {
			kept = append(kept, append([]byte(nil), m...))
		}
		d.last++
		d.entries[d.last] = kept
	}
	return from, nil
}

func (d *diskStore) Read(index uint64) ([][]byte, error) {
	if d.broken {
		return nil, errDisk
	}
	return d.entries[index], nil
}

func (d *diskStore) Bounds() (uint64, uint64) {
	for d.first <= d.last && d.entries[d.first] == nil {
		d.first++
	}
	return d.first, d.last
}

func (d *diskStore) Done(index uint64) { delete(d.entries, index) }

// spillModel drives an uplink with a disk the way a hub and a spiller do, with
// crashes, and notes what devices were told and what the cloud got.
type spillModel struct {
	u        *Uplink
	disk     *diskStore
	opts     UplinkOptions
	spill    SpillOptions
	now      time.Time
	there    bool
	seq      map[string]int
	receipts []*told
	flying   []*batch
	cloud    map[string][]int // sequence numbers by device, duplicates included
}

// told is a receipt that knows its message.
type told struct {
	device string
	seq    int
	times  int
	err    error
}

func (n *told) Settled(err error) { n.times, n.err = n.times+1, err }

func (m *spillModel) boot() {
	m.u = NewUplink(m.opts)
	m.u.UseStore(m.disk, m.spill)
	m.there, m.flying = false, nil
}

func (m *spillModel) Send(t *rapid.T) {
	device := "d" + strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "device"))
	n := &told{device: device, seq: m.seq[device] + 1}
	err := m.u.TrySend([]message.Message{{
		Device: device, Seq: uint64(n.seq), Body: []byte(fmt.Sprintf("%s %d", device, n.seq)),
	}}, n)
	if err == nil {
		m.seq[device]++
		m.receipts = append(m.receipts, n)
	} else if !errors.Is(err, message.ErrFull) {
		t.Fatalf("send gives %v", err)
	}
}

func (m *spillModel) Spill(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
	m.u.disk.retry = time.Time{}
	m.u.enter(m.now)
	for _, step := range rapid.Permutation([]func(){
		func() { m.u.write() }, func() { m.u.load() }, m.u.leave,
	}).Draw(t, "steps") {
		step()
	}
}

func (m *spillModel) Next(*rapid.T) {
	if !m.there {
		return
	}
	if b, _ := m.u.next(time.Now().Add(24 * time.Hour)); b != nil {
		m.flying = append(m.flying, b)
	}
}

// store is what the hub does with a transfer that arrived.
func (m *spillModel) store(t *rapid.T, b *batch) {
	for _, member := range b.transfer().Data {
		var decoded amqp.Message
		if err := decoded.UnmarshalBinary(member); err != nil {
			t.Fatalf("the hub cannot read a message: %v", err)
		}
		var device string
		var seq int
		if _, err := fmt.Sscanf(string(decoded.GetData()), "%s %d", &device, &seq); err != nil {
			t.Fatalf("the hub reads %q", decoded.GetData())
		}
		m.cloud[device] = append(m.cloud[device], seq)
	}
}

func (m *spillModel) Accept(t *rapid.T) {
	if len(m.flying) > 0 {
		b := m.flying[0]
		m.flying = m.flying[1:]
		m.store(t, b)
		m.u.accepted(b)
	}
}

func (m *spillModel) Halve(*rapid.T) {
	if n := len(m.flying); n > 0 && m.flying[n-1].len() > 1 { // the last, so that nothing overtakes its halves
		b := m.flying[n-1]
		m.flying = m.flying[:n-1]
		m.u.halve(b)
	}
}

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
	m.boot()
}

func (m *spillModel) Check(t *rapid.T) {
	for _, n := range m.receipts {
		if n.times > 1 {
			t.Fatalf("message %d of %s settled %d times", n.seq, n.device, n.times)
		}
	}
	if s := m.u.Stats(); s.Bytes < 0 || s.Messages < 0 || m.u.disk.safe < 0 {
		t.Fatalf("account %+v, safe %d", s, m.u.disk.safe)
	}
	for device, list := range m.cloud {
		newest := 0
		seen := map[int]bool{}
		for _, seq := range list {
			if !seen[seq] && seq < newest {
				t.Fatalf("%s: %d comes to the cloud first after %d: %v", device, seq, newest, list)
			}
			seen[seq], newest = true, max(newest, seq)
		}
	}
}

// settle lets everything come to its end.
func (m *spillModel) settle(t *rapid.T) {
	m.disk.broken = false
	m.Connect(t)
	for range 10_000 {
		m.u.disk.retry = time.Time{}
		m.u.enter(m.now)
		worked := m.u.write()
		worked = m.u.load() || worked
		m.u.leave()
		m.Next(t)
		m.Accept(t)
		if s := m.u.Stats(); !worked && len(m.flying) == 0 && s.Messages == 0 && m.u.disk.safe == 0 {
			return
		}
	}
	t.Fatalf("it does not come to an end: %+v, safe %d, spooling %v", m.u.Stats(), m.u.disk.safe, m.u.disk.spooling)
}

func TestWhatDevicesWereToldIsDeliveredInOrderWhateverHappensToHubDiskAndProcess(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &spillModel{
			disk:  &diskStore{entries: map[uint64][][]byte{}, first: 1},
			opts:  UplinkOptions{BatchBytes: rapid.IntRange(1, 900).Draw(t, "batch"), Window: 3, QueueBytes: 3000},
			spill: SpillOptions{Always: rapid.Bool().Draw(t, "always")},
			now:   time.Now(), seq: map[string]int{}, cloud: map[string][]int{},
		}
		m.boot()
		t.Repeat(map[string]func(*rapid.T){
			"send": m.Send, "spill": m.Spill, "next": m.Next, "accept": m.Accept, "halve": m.Halve,
			"connect": m.Connect, "lose": m.Lose, "disk": m.Disk, "crash": m.Crash, "": m.Check,
		})
		m.settle(t)
		m.Check(t)
		for _, n := range m.receipts {
			if n.times != 1 || n.err != nil {
				t.Fatalf("message %d of %s settled %d times with %v", n.seq, n.device, n.times, n.err)
			}
			found := false
			for _, seq := range m.cloud[n.device] {
				found = found || seq == n.seq
			}
			if !found {
				t.Fatalf("message %d of %s was acknowledged and is lost: %v", n.seq, n.device, m.cloud[n.device])
			}
		}
		if first, last := m.disk.Bounds(); first <= last {
			t.Fatalf("the disk still holds %d to %d", first, last)
		}
	})
}
