package main

import (
	"context"
	"runtime/debug"
	"testing"
)

func TestOnlyASmallHeapThatIsAllocatedMuchGrowsFurther(t *testing.T) {
	for name, c := range map[string]struct {
		rate float64
		live uint64
		want int
	}{
		"little to do":        {1 << 20, 8 << 20, 100},
		"busy, small":         {300 << 20, 8 << 20, 200},
		"busy, of some size":  {300 << 20, 16 << 20, 150},
		"busy, large":         {300 << 20, 100 << 20, 100},
		"before a collection": {300 << 20, 0, 200},
	} {
		if got := paceOf(c.rate, c.live); got != c.want {
			t.Errorf("%s: %d percent, want %d", name, got, c.want)
		}
	}
}

func TestThePaceIsGivenBack(t *testing.T) {
	const other = 300
	defer debug.SetGCPercent(debug.SetGCPercent(other))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pace(ctx)
	if got := debug.SetGCPercent(other); got != other {
		t.Errorf("the collector is left at %d percent, want %d", got, other)
	}
	t.Setenv("GOGC", "50")
	pacing()()
	if got := debug.SetGCPercent(other); got != other {
		t.Errorf("the environment's word was changed to %d percent", got)
	}
}
