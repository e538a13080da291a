package hub

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// once is a receipt that is to be settled once.
type once struct{ times atomic.Int32 }

func (o *once) Settled(error) { o.times.Add(1) }

// restless is a store that fails now and then and lets others run while it writes.
type restless struct {
	*diskStore
	appends atomic.Int64
}

// spend takes time, as a disk or a hub does, and lets others run meanwhile.
func spend(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		runtime.Gosched()
	}
}

func (r *restless) Append(entries [][][]byte) (uint64, error) {
	spend(50 * time.Microsecond) // the disk's time, in which the hub answers
	if r.appends.Add(1)%400 == 7 {
		return 0, errDisk
	}
	return r.diskStore.Append(entries)
}

// hubLoops is a hub that accepts, refuses every 97th batch, and drops the
// connection every 300th, until ctx ends.
func hubLoops(ctx context.Context, u *Uplink) {
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		f, wait := u.next(time.Now())
		switch {
		case f == nil:
			if u.await(ctx, idle, wait) != nil {
				return
			}
		case n%300 == 0:
			u.recall()
			u.reached(false)
			u.reached(true)
		case n%97 == 0 && f.len() > 1:
			u.isolate(f)
		default:
			u.transfer(f)
			spend(30 * time.Microsecond) // the hub's time, in which the disk is written
			u.accepted(f)
		}
	}
}

func TestEveryReceiptIsSettledOnceAndNothingStallsWhileEverythingHappensAtOnce(t *testing.T) {
	t.Parallel()
	const devices, each = 4, 1000
	u := NewUplink(UplinkOptions{BatchBytes: 700, QueueBytes: 20_000, Linger: time.Millisecond})
	store := &restless{diskStore: newDiskStore()}
	ctx, cancel := context.WithCancel(t.Context())
	var loops, senders sync.WaitGroup
	u.reached(true)
	loops.Go(func() { hubLoops(ctx, u) })
	receipts := make([]once, devices*each)
	for d := range devices {
		senders.Go(func() {
			for i := range each {
				m := message.Message{Device: "d" + strconv.Itoa(d), Seq: uint64(i), Body: make([]byte, 40)}
				if err := u.Send(ctx, []message.Message{m}, &receipts[d*each+i]); err != nil {
					t.Errorf("send gives %v", err)
				}
				switch i % 100 {
				case 10, 20, 80, 90:
					u.Force()
				case 50:
					u.WriteAlways(true)
				case 60:
					u.WriteAlways(false)
				}
			}
		})
	}
	u.UseStore(store, SpillOptions{Slow: 20 * time.Millisecond, Away: 10 * time.Millisecond})
	loops.Go(func() { u.Spill(ctx) })
	senders.Wait()
	u.WriteAlways(false)
	limit, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := u.Drain(limit); err != nil {
		t.Errorf("%v; %+v, spooling %v", err, u.Stats(), u.Spooling())
	}
	for u.Left() && limit.Err() == nil {
		spend(time.Millisecond) // looks again, with a deadline
	}
	if u.Left() {
		t.Error("something stays on disk")
	}
	cancel()
	loops.Wait()
	for i := range receipts {
		if n := receipts[i].times.Load(); n != 1 {
			t.Fatalf("receipt %d settled %d times", i, n)
		}
	}
}
