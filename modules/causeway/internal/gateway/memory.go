package gateway

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// memoryLook is how often the links that rest are counted.
	memoryLook = 5 * time.Second
	// memoryWorth is how many links have to have come to rest since the last time: their
	// stacks and buffers are some 8 KiB each, and giving back costs a collection.
	memoryWorth = 500
)

// giveBack returns memory to the system after many links have come to rest, until ctx
// ends: while they are silent nothing is allocated, so that nothing else would start a
// collection.
func (g *Gateway) giveBack(ctx context.Context) {
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	rested := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := 0
		for _, l := range g.running() {
			now += l.resting()
		}
		if now-rested >= memoryWorth {
			runtime.GC() // pools give up what they hold with the second collection
			debug.FreeOSMemory()
			rested = now
		}
		rested = min(rested, now)
	}
}
