package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const (
	// movers is how many leaves are moved to disk at the same time: what they write together
	// costs one sync, see spool.Partitions.
	movers = 16
	// drainLook is how often a drain looks.
	drainLook = 5 * time.Millisecond
)

// Send implements the session's uplink: each message goes the way of its device. Devices
// that cannot have an identity have their messages refused.
func (l *Leaves) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	return l.hand(outcome, r, func(u *Uplink, run []message.Message) error { return u.Send(ctx, run, r) })
}

// TrySend is Send without waiting.
func (l *Leaves) TrySend(outcome []message.Message, r message.Receipt) error {
	return l.hand(outcome, r, func(u *Uplink, run []message.Message) error { return u.TrySend(run, r) })
}

// hand gives each run of messages of one device to its uplink. The first says whether the
// outcome is taken; what cannot be handed over after it is settled with why not.
func (l *Leaves) hand(outcome []message.Message, r message.Receipt, send func(*Uplink, []message.Message) error) error {
	for from := 0; from < len(outcome); {
		to := from + 1
		for to < len(outcome) && outcome[to].Device == outcome[from].Device {
			to++
		}
		run := outcome[from:to]
		leaf, err := l.leaf(run[0].Device, l.evict)
		if err != nil {
			l.refuse(run, r, err)
			from = to
			continue
		}
		leaf.come()
		err = send(leaf.uplink, run)
		switch {
		case errors.Is(err, message.ErrClosed) && leaf.life.Err() != nil: // it was given up at that moment
			continue
		case err != nil && from == 0:
			return err
		}
		for range len(run) {
			if err != nil {
				r.Settled(err)
			}
		}
		from = to
	}
	return nil
}

// refuse settles messages whose device cannot have an identity.
func (l *Leaves) refuse(run []message.Message, r message.Receipt, why error) {
	for i := range run {
		refused := refusalOf(encode(&run[i]), fmt.Errorf("identity of the device: %w", why))
		l.opts.Uplink.Refused(refused)
		r.Settled(refused)
	}
}

// Stats are those of all devices together.
func (l *Leaves) Stats() (all UplinkStats) {
	l.each(func(f *leaf) {
		s := f.uplink.Stats()
		all.Bytes += s.Bytes
		all.Messages += s.Messages
		all.Batches += s.Batches
		all.Retried += s.Retried
		if all.Oldest.IsZero() || !s.Oldest.IsZero() && s.Oldest.Before(all.Oldest) {
			all.Oldest = s.Oldest
		}
	})
	return all
}

// Force sends everything that is not settled to disk, where there is one.
func (l *Leaves) Force() { l.each(func(f *leaf) { f.uplink.Force() }) }

// ForceAway is Force for the devices that are not attached.
func (l *Leaves) ForceAway() {
	l.each(func(f *leaf) {
		if !f.up.Load() {
			f.uplink.Force()
		}
	})
}

// Spooling tells whether messages of a device go by way of the disk at the moment.
func (l *Leaves) Spooling() (any bool) {
	l.each(func(f *leaf) { any = any || f.uplink.Spooling() })
	return any
}

// UseStores gives the devices their disks, when it can be opened after they were made.
func (l *Leaves) UseStores(store func(device string) Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opts.Store = store
	for device, f := range l.leaves {
		f.uplink.UseStore(store(device), l.opts.Spill)
	}
}

// WriteAlways is Uplink.WriteAlways for all devices.
func (l *Leaves) WriteAlways(always bool) {
	l.mu.Lock()
	l.opts.Spill.Always = always
	l.mu.Unlock()
	l.each(func(f *leaf) { f.uplink.WriteAlways(always) })
}

// Drain is Uplink.Drain for all devices.
func (l *Leaves) Drain(ctx context.Context) error {
	t := time.NewTicker(drainLook)
	defer t.Stop()
	for {
		left := l.Stats().Messages
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain devices: %d messages not settled: %w", left, ctx.Err())
		case <-t.C:
		}
	}
}

// Close is Uplink.Close for all devices. It is called after Run has returned.
func (l *Leaves) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.each(func(f *leaf) { f.uplink.Close() })
}

// spill moves messages between memory and disk until ctx ends.
func (l *Leaves) spill(ctx context.Context) {
	look := time.NewTicker(spillLook)
	defer look.Stop()
	for ctx.Err() == nil {
		if l.move() {
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.diskWake:
		case <-look.C:
		}
	}
}

// move has every leaf that holds something look at its disk; false when nothing was moved.
func (l *Leaves) move() (moved bool) {
	var busy []*leaf
	l.each(func(f *leaf) {
		if !f.uplink.idle() {
			busy = append(busy, f)
		}
	})
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(movers, len(busy)) {
		workers.Go(func() {
			for {
				mu.Lock()
				if len(busy) == 0 {
					mu.Unlock()
					return
				}
				f := busy[0]
				busy = busy[1:]
				mu.Unlock()
				if f.uplink.move() {
					mu.Lock()
					moved = true
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return moved
}
