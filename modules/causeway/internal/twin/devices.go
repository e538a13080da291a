package twin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// pushesAtOnce bounds the devices that are spoken to at the same time. A silent one takes
	// half a minute, so that a hundred of them hold up the others for about one.
	pushesAtOnce = 64
	// pushAgain is how often devices that did not confirm are tried again.
	pushAgain = time.Minute
	// confirmedLimit bounds what is reported of one device: the reported twin has
	// 32 KiB for all.
	confirmedLimit = 1024
	// confirmedInAll bounds what is reported of all devices together.
	confirmedInAll = 20 << 10
)

// ErrAbsent says that a device is not connected; its values are pushed when it is.
var ErrAbsent = errors.New("device not connected")

// ErrUnconfirmed says that values were sent and that nothing will confirm them; they are
// not pushed again.
var ErrUnconfirmed = errors.New("sent, and the protocol confirms nothing")

// Push sends desired values to a device and returns those that it confirmed. The
// error is ErrAbsent when it is not connected, ErrUnconfirmed when that is all that is
// known.
type Push func(ctx context.Context, device string, desired json.RawMessage) (confirmed json.RawMessage, err error)

// Devices pushes devices.<id>.desired to the devices and remembers what they
// confirmed. Configured and Present may be called from any goroutine and return
// at once; Run does the work.
type Devices struct {
	// Answered hears what a device confirmed, or why it did not, in place of Report; optional, and
	// set before Run. It may wait. After an error it is told again with the next round. What fails in
	// the same way again is no news.
	Answered func(ctx context.Context, device string, a DeviceAnswer) error

	push    Push
	changed func()

	mu     sync.Mutex
	wanted map[string]*wanted
	work   chan string
}

// DeviceAnswer is what became of the values that a device was to be told.
type DeviceAnswer struct {
	// Confirmed is an object of the values that the device confirmed, or empty.
	Confirmed json.RawMessage
	// Failure is why it did not confirm them, empty when it did.
	Failure string
	// Sent says that the failure is ErrUnconfirmed.
	Sent bool
}

// wanted is what one device is to be told, and what it said.
type wanted struct {
	desired json.RawMessage
	queued  bool // it is being pushed, or will be
	again   bool // the device came meanwhile
	pushing bool
	settled bool // the device has answered these values, or never will
	untold  bool // Answered does not know yet
	answer  DeviceAnswer
}

// NewDevices makes a Devices that wants nothing. Changed is called when there is
// something new to report.
func NewDevices(push Push, changed func()) *Devices {
	const queue = 4096 // ids only; what does not fit is found again by the next round
	return &Devices{push: push, changed: changed, wanted: make(map[string]*wanted), work: make(chan string, queue)}
}

// Configured replaces what is wanted: desired values by device. A device whose
// values did not change keeps what it confirmed.
func (d *Devices) Configured(desired map[string]json.RawMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.wanted {
		if _, stays := desired[id]; !stays {
			delete(d.wanted, id)
		}
	}
	for id, values := range desired {
		if w := d.wanted[id]; w == nil || !bytes.Equal(w.desired, values) {
			d.wanted[id] = &wanted{desired: values}
		}
		d.enqueue(id)
	}
}

// Want sets what is wanted of one device, and leaves the others as they are. What did not change
// is not pushed again.
func (d *Devices) Want(id string, desired json.RawMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wanted[id]; w == nil || !bytes.Equal(w.desired, desired) {
		d.wanted[id] = &wanted{desired: desired}
	}
	d.enqueue(id)
}

// Forget drops what is wanted of a device.
func (d *Devices) Forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.wanted, id)
}

// Present tells that a device has connected.
func (d *Devices) Present(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enqueue(id)
}

func (d *Devices) enqueue(id string) {
	w := d.wanted[id]
	if w == nil || w.settled && !w.untold {
		return
	}
	if w.queued {
		w.again = true
		return
	}
	select {
	case d.work <- id:
		w.queued = true
	default:
	}
}

// Run pushes until ctx ends.
func (d *Devices) Run(ctx context.Context) {
	var pushes errgroup.Group
	pushes.SetLimit(pushesAtOnce)
	defer func() { _ = pushes.Wait() }()
	again := time.NewTicker(pushAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			d.retry()
		case id := <-d.work:
			pushes.Go(func() error {
				d.pushOne(ctx, id)
				return nil
			})
		}
	}
}

func (d *Devices) retry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.wanted {
		d.enqueue(id)
	}
}

func (d *Devices) pushOne(ctx context.Context, id string) {
	d.mu.Lock()
	w := d.wanted[id]
	if w == nil || w.settled && !w.untold || w.pushing {
		d.mu.Unlock()
		return
	}
	settled := w.settled
	w.pushing, w.again = true, false
	d.mu.Unlock()
	if !settled {
		confirmed, err := d.push(ctx, id, w.desired)
		if d.answered(ctx, w, confirmed, err) {
			defer d.changed()
		}
	}
	d.tell(ctx, id, w)
	d.mu.Lock()
	defer d.mu.Unlock()
	w.pushing, w.queued = false, false
	if w.again && d.wanted[id] == w {
		d.enqueue(id)
	}
}

// answered notes what came of a push, false when nothing did.
func (d *Devices) answered(ctx context.Context, w *wanted, confirmed json.RawMessage, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := w.answer.Failure
	switch {
	case errors.Is(err, ErrAbsent) || ctx.Err() != nil:
		return false
	case errors.Is(err, ErrUnconfirmed):
		w.settled, w.answer = true, DeviceAnswer{Failure: ErrUnconfirmed.Error(), Sent: true}
	case err != nil:
		w.answer.Failure = strings.ToValidUTF8(err.Error()[:min(len(err.Error()), confirmedLimit)], "")
	case len(confirmed) > confirmedLimit:
		w.settled, w.answer = true, DeviceAnswer{Failure: "the confirmed values are too large for the twin"}
	case !reportable(confirmed):
		w.settled, w.answer = true, DeviceAnswer{Failure: "the confirmed values have names that a twin cannot hold"}
	default:
		w.settled, w.answer = true, DeviceAnswer{Confirmed: confirmed}
	}
	w.untold = w.untold || d.Answered != nil && (w.settled || w.answer.Failure != before)
	return true
}

// tell tells Answered, if there is news.
func (d *Devices) tell(ctx context.Context, id string, w *wanted) {
	d.mu.Lock()
	untold, answer := w.untold, w.answer
	d.mu.Unlock()
	if !untold || d.Answered(ctx, id, answer) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.untold = false
}

// reportable tells whether a twin takes the values: an object whose names hold none
// of the characters that twins forbid. Otherwise the hub would refuse the whole
// report because of one device.
func reportable(confirmed json.RawMessage) bool {
	if len(confirmed) == 0 {
		return true
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(confirmed, &members) != nil || members == nil {
		return false
	}
	for name, value := range members {
		if name == "" || strings.ContainsAny(name, ".$# \t\r\n") {
			return false
		}
		if value[0] == '{' && !reportable(value) {
			return false
		}
	}
	return true
}

// Report is the devices part of the reported properties.
func (d *Devices) Report() map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	report := make(map[string]any, len(d.wanted))
	size := 0
	for _, id := range slices.Sorted(maps.Keys(d.wanted)) { // in order, so that what does not fit is always the same
		a, entry := d.wanted[id].answer, map[string]any{}
		if len(a.Confirmed) > 0 && json.Valid(a.Confirmed) {
			entry["reported"] = a.Confirmed
		}
		if a.Failure != "" {
			entry["error"] = a.Failure
		}
		if size += len(id) + len(a.Confirmed) + len(a.Failure); len(entry) > 0 && size <= confirmedInAll {
			report[id] = entry
		}
	}
	return report
}
