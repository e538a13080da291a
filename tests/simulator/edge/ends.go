package edge

import (
	"context"
	"sync"
	"time"
)

// maxEnds bounds the ends that are remembered: a test's worth of messages to devices.
const maxEnds = 10000

// End is what became of a message to a device.
type End struct {
	// Sequence counts ends, from 1.
	Sequence  uint64    `json:"sequence"`
	MessageID string    `json:"messageId"`
	Device    string    `json:"device"`
	Status    string    `json:"status"`
	Time      time.Time `json:"time"`
}

// ends remember what became of messages to devices, for whoever looks on. Records of
// feedback are the service's, which takes them.
type ends struct {
	mu   sync.Mutex
	list []End
	last uint64
	// wake is closed with the next end; nil while nobody waits.
	wake chan struct{}
}

func (e *ends) add(end End) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	end.Sequence = e.last
	if len(e.list) >= maxEnds {
		e.list = append(e.list[:0], e.list[maxEnds/2:]...)
	}
	e.list = append(e.list, end)
	if e.wake != nil {
		close(e.wake)
		e.wake = nil
	}
}

// since returns the ends after a number, or the channel that is closed with the next one.
func (e *ends) since(n uint64) ([]End, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.list {
		if e.list[i].Sequence > n {
			return append([]End(nil), e.list[i:]...), nil
		}
	}
	if e.wake == nil {
		e.wake = make(chan struct{})
	}
	return nil, e.wake
}

// Ends returns what became of messages to devices, after a sequence number. It waits for
// the first, and returns none when ctx or the time ends or the hub closes.
func (h *Hub) Ends(ctx context.Context, since uint64, wait time.Duration) []End {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		list, next := h.ends.since(since)
		if len(list) > 0 {
			return list
		}
		select {
		case <-next:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-h.done:
			return nil
		}
	}
}
