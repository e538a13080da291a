package hub

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrLeafBusy: the device's messages are on their way, or are being discarded.
	ErrLeafBusy = errors.New("messages of the device are on their way")
	// errDiscarded is why a message does not go to the hub.
	errDiscarded = errors.New("discarded by an operator")
)

// Discard refuses what waits on disk for the hub to take the device, as if the hub had refused
// it for good, and returns how many messages that were. It is for a device that will not come
// back: ErrLeafBusy tells that it is attached, or has messages that are not on disk. Any other
// error is that of the disk, or ctx; what was not discarded stays.
func (l *Leaves) Discard(ctx context.Context, device string) (messages int, err error) {
	store, err := l.claim(device)
	if store == nil {
		return 0, err
	}
	defer l.unclaim(device)
	first, last := store.Bounds()
	for index := first; index <= last; index++ {
		if err := ctx.Err(); err != nil {
			return messages, err
		}
		entry, err := store.Read(index)
		if err != nil {
			return messages, fmt.Errorf("read what waits: %w", err)
		}
		for _, encoded := range entry {
			l.opts.Uplink.Refused(refusalOf(encoded, errDiscarded))
			messages++
		}
		store.Done(index)
	}
	return messages, nil
}

// claim takes a device's disk for oneself; nil when there is none.
func (l *Leaves) claim(device string) (Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimed[device] {
		return nil, ErrLeafBusy
	}
	if f := l.leaves[device]; f != nil {
		if f.up.Load() || !f.uplink.retire() {
			return nil, ErrLeafBusy
		}
		l.forget(f)
	}
	if l.opts.Store == nil {
		return nil, nil
	}
	store := l.opts.Store(device)
	if store == nil {
		return nil, nil
	}
	l.claimed[device] = true
	return store, nil
}

func (l *Leaves) unclaim(device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.claimed, device)
	l.opts.Released(device)
}
