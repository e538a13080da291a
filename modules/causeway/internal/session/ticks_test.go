package session

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// sleepy is a codec whose ticks take so long.
type sleepy struct {
	takes time.Duration
	ticks atomic.Int64
}

func (c *sleepy) Begin(codec.Peer) (codec.Dialogue, error) { return &sleeping{c}, nil }

type sleeping struct{ codec *sleepy }

func (d *sleeping) Receive(codec.Frame, *codec.Outcome) error { return nil }

func (d *sleeping) Tick(time.Time, *codec.Outcome) error {
	d.codec.ticks.Add(1)
	if d.codec.takes > 0 {
		<-time.After(d.codec.takes)
	}
	return nil
}

func TestTicksThatTakeTheirTimeDelayThoseOfTheirOwnListenerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := newRig(t), newRig(t)
		slow.Table = quick.Table
		prompt, late := &sleepy{}, &sleepy{takes: 7 * time.Second} // over before the login has to come
		quick.Codec, slow.Codec = prompt, late
		quick.connect(t)
		slow.connect(t)
		slow.connect(t)
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(ended)
			quick.Table.Run(ctx)
		}()
		const seconds = 5
		over := time.NewTimer(seconds*time.Second + time.Millisecond)
		<-over.C
		synctest.Wait()
		if n := prompt.ticks.Load(); n != seconds {
			t.Errorf("%d ticks in %d seconds beside a listener whose ticks hang", n, seconds)
		}
		if n := late.ticks.Load(); n != 1 {
			t.Errorf("%d ticks began on the listener whose ticks hang, want one at a time", n)
		}
		cancel()
		<-ended // it waits for the tick that is under way
		if n := late.ticks.Load(); n != 1 {
			t.Errorf("%d ticks began on the listener whose ticks hang, after the end", n)
		}
	})
}
