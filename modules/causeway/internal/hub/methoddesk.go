package hub

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// methodsAtOnce bounds the module's direct methods that run at the same time. Each may
	// wait minutes for a device; the hub itself does not serialise them.
	methodsAtOnce = 32
	// answersAtOnce bounds them together with those whose answers are being sent.
	answersAtOnce = 2 * methodsAtOnce
	// statusBusy answers what is over the bound.
	statusBusy = 429
)

// method answers a direct method, as Handler.Method.
type method func(ctx context.Context, name string, payload json.RawMessage) (status int, answer json.RawMessage)

// methodRoom is where direct methods run, of one desk or of many.
type methodRoom struct {
	places  chan struct{} // filled by those that run
	waiting chan struct{} // filled by those that wait for a place
	// patience bounds the wait for a place.
	patience time.Duration
}

// newMethodRoom makes a room for so many that run, and so many that wait that long.
func newMethodRoom(running, waiting int, patience time.Duration) *methodRoom {
	return &methodRoom{
		places: make(chan struct{}, running), waiting: make(chan struct{}, waiting), patience: patience,
	}
}

// methodDesk has the direct methods of a link answered, each in its own goroutine.
type methodDesk struct {
	method  method
	room    *methodRoom
	own     chan struct{} // filled by those of this desk that run
	most    int64         // of those that this desk has taken
	taken   atomic.Int64  // those whose answer has not been sent
	running sync.WaitGroup
}

// newMethodDesk makes a desk of which so many run at a time, where the room has a place for
// them. It takes at most so many, with those that wait, and those whose answer is being sent.
func newMethodDesk(m method, room *methodRoom, running int, most int64) *methodDesk {
	return &methodDesk{method: m, room: room, own: make(chan struct{}, running), most: most}
}

// newModuleDesk makes the desk of the module's own methods, of which none waits: it would wait
// for others that may take minutes.
func newModuleDesk(m method) *methodDesk {
	return newMethodDesk(m, newMethodRoom(methodsAtOnce, 0, 0), methodsAtOnce, answersAtOnce)
}

// take has one method answered, after those before it where there is no place now. Reply is
// called once, with a JSON value; an answer that it cannot send is lost with the link, and the
// hub tells the caller of the timeout.
func (d *methodDesk) take(
	ctx context.Context, name string, payload json.RawMessage, reply func(status int, answer json.RawMessage),
) {
	if d.taken.Load() >= d.most {
		refuseMethod(reply)
		return
	}
	placed := d.enterNow()
	if !placed && !fill(d.room.waiting) {
		refuseMethod(reply)
		return
	}
	d.taken.Add(1)
	d.running.Go(func() {
		defer d.taken.Add(-1)
		if !placed && !d.enter(ctx) {
			refuseMethod(reply)
			return
		}
		status, answer := d.call(ctx, name, payload)
		if len(answer) == 0 {
			answer = json.RawMessage("null")
		}
		reply(status, answer)
	})
}

func refuseMethod(reply func(status int, answer json.RawMessage)) {
	reply(statusBusy, json.RawMessage(`{"error":"too many methods at once"}`))
}

// enterNow takes a place if there is one.
func (d *methodDesk) enterNow() bool {
	if !fill(d.own) {
		return false
	}
	if !fill(d.room.places) {
		<-d.own
		return false
	}
	return true
}

// enter waits for a place, for whom the room has counted among those that wait.
func (d *methodDesk) enter(ctx context.Context) bool {
	defer func() { <-d.room.waiting }()
	ctx, cancel := context.WithTimeout(ctx, d.room.patience)
	defer cancel()
	select {
	case d.own <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case d.room.places <- struct{}{}:
		return true
	case <-ctx.Done():
		<-d.own
		return false
	}
}

// fill takes a place of those that are counted by a channel, if one is free.
func fill(places chan<- struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
		return false
	}
}

// call gives the place back before the answer is sent: who has it may call again.
func (d *methodDesk) call(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
	defer func() { <-d.room.places; <-d.own }()
	return d.method(ctx, name, payload)
}

// busy tells whether a method is running or waiting, or an answer on its way.
func (d *methodDesk) busy() bool { return d.taken.Load() > 0 }

// wait waits for the methods that run; their context has ended.
func (d *methodDesk) wait() { d.running.Wait() }
