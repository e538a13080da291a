package gateway

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	visitorsBucket = "admitted"
	// visitorsKept bounds the devices that operators have let in: some 100 bytes each.
	visitorsKept = 10_000
)

// errVisitors: there is no room for another.
var errVisitors = fmt.Errorf("%d devices are admitted already", visitorsKept)

// visitors are the devices that operators have let in for a time, kept on disk. It is
// safe for concurrent use.
type visitors struct {
	file *state.File

	changing sync.Mutex // one change at a time, so that disk and memory agree
	mu       sync.Mutex
	list     map[string]time.Time // until when, by device
}

// until tells whether a device is let in, and until when.
func (v *visitors) until(device string) (time.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	until, ok := v.list[device]
	return until, ok && time.Now().Before(until)
}

// admit lets a device in; it is on disk when the error is nil.
func (v *visitors) admit(device string, until time.Time) error {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()
	_, there := v.list[device]
	full := !there && len(v.list) >= visitorsKept
	v.mu.Unlock()
	if full && v.forget(time.Now()) == 0 {
		return errVisitors
	}
	text, err := until.UTC().MarshalText()
	if err == nil {
		err = v.file.Update(visitorsBucket, func(b *state.Bucket) error { return b.Put([]byte(device), text) })
	}
	if err != nil {
		return fmt.Errorf("admit device %q: %w", device, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list[device] = until
	return nil
}

// remove takes an admission back, false where there was none. One that the disk cannot
// forget comes back with the next start, for what is left of its time.
func (v *visitors) remove(device string) bool {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()
	_, there := v.list[device]
	delete(v.list, device)
	v.mu.Unlock()
	if there {
		_ = v.file.Update(visitorsBucket, func(b *state.Bucket) error { return b.Delete([]byte(device)) })
	}
	return there
}

// forget drops those whose time is over, and returns how many.
func (v *visitors) forget(now time.Time) int {
	v.mu.Lock()
	var over []string
	for device, until := range v.list {
		if !now.Before(until) {
			delete(v.list, device)
			over = append(over, device)
		}
	}
	v.mu.Unlock()
	_ = v.file.Update(visitorsBucket, func(b *state.Bucket) error { // otherwise the next start does
		var errs []error
		for _, device := range over {
			errs = append(errs, b.Delete([]byte(device)))
		}
		return errors.Join(errs...)
	})
	return len(over)
}

// restore reads what was kept.
func (v *visitors) restore(now time.Time) error {
	list := make(map[string]time.Time)
	err := v.file.View(visitorsBucket, func(b *state.Bucket) error {
		b.Ascend(nil, func(device, text []byte) bool {
			var until time.Time
			if text != nil && until.UnmarshalText(text) == nil {
				list[string(device)] = until
			}
			return len(list) < visitorsKept
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("admitted devices: %w", err)
	}
	v.mu.Lock()
	v.list = list
	v.mu.Unlock()
	v.forget(now)
	return nil
}
