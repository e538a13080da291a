package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// messageLimit is the edge hub's bound for one message, body and properties
// (Constants.MaxMessageSize, 256 KiB), less room for what it adds itself.
const messageLimit = 262144 - 1024

// errTooLarge is why the uplink itself refuses a message.
var errTooLarge = fmt.Errorf("more than the %d bytes that the hub takes", messageLimit)

// A lane that has a transfer to itself may make it so many times as large as a batch,
// since the next one waits for the hub's answer; below the edge hub's bound for a
// transfer (600 KiB), with room for the last message.
const (
	stretch       = 4
	transferLimit = 300_000
)

// UplinkOptions bound the uplink. Zero values mean the defaults.
type UplinkOptions struct {
	// BatchBytes is the size at which a transfer is full. Default 60,000: one AMQP
	// frame of the hub's 65,536 with its head, and the measured optimum (16 to 64 kB).
	BatchBytes int
	// Window is how many transfers are sent without an answer. Default 32: with a hub
	// that answers 20 ms late it carries some 90 MB/s, and the hub grants 1,000.
	Window int
	// QueueBytes bounds what is taken and not yet settled, the window included; the
	// message that reaches the bound is still taken. Default 4 MiB.
	QueueBytes int
	// Linger is how long a message waits for company while others are in flight.
	// Default 5 ms.
	Linger time.Duration
	// Device says that the identity is a device's, which has no outputs: what would be the
	// output is the property "output".
	Device bool
	// Leaf says that the messages are of one device, which sends under its own identity. It
	// implies Device.
	Leaf bool
	// Refused hears of every message that is refused for good, by the hub or for its
	// size, whether somebody waits for its receipt or it came from disk. The same
	// error settles the receipt. It must not block; optional.
	Refused func(*message.Refused)
}

func (o *UplinkOptions) defaults() {
	if o.Refused == nil {
		o.Refused = func(*message.Refused) {}
	}
	o.Device = o.Device || o.Leaf
	if o.BatchBytes <= 0 {
		o.BatchBytes = 60_000
	}
	if o.Window <= 0 {
		o.Window = 32
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 4 << 20
	}
	if o.Linger <= 0 {
		o.Linger = 5 * time.Millisecond
	}
}

// UplinkStats is a look at the queue.
type UplinkStats struct {
	// Bytes and Messages are taken and neither settled nor on disk; Batches are in flight.
	Bytes, Messages, Batches int
	// Oldest is when the oldest unsettled message was taken, by its batch; zero when there
	// is none.
	Oldest time.Time
	// Retried counts messages that had to be sent again, since the start.
	Retried uint64
}

// Uplink takes messages, batches them and keeps them until the hub has settled them.
// Messages of one device stay in order, whatever the hub refuses. It is safe for
// concurrent use.
//
// A message is in a lane (open or ready) or in flight, and besides, while the disk is in
// use, aside or being written, see spill. All is guarded by mu; no receipt is called and
// no file is touched under it.
type Uplink struct {
	opts UplinkOptions

	mu      sync.Mutex
	lanes   [lanes]lane
	waiting laneSet   // lanes that have something to send
	busy    laneSet   // lanes that have something in flight
	held    laneSet   // lanes that are made to wait, until the time that they know
	turn    int       // the lane that is looked at first
	flying  []*flight // in the order of sending
	loose   int       // bytes in lanes that are not busy
	bytes   int
	count   int
	retried uint64
	freed   bool // a settlement freed the window: what is open may leave
	closed  bool
	resting bool      // nothing is sent: the connection is about to be replaced
	hold    time.Time // nothing is sent before: the hub asked for patience
	stored  time.Time // when the hub last accepted a transfer
	waiters []chan struct{}
	disk    spill
	encoder encoder

	free        []*batch
	freeFlights []*flight

	// Of the sending loop, without the lock: the transfer that leaves.
	wire    amqp.Message
	members [][]byte

	wake chan struct{} // cap 1: something changed for the sending loop
}

// NewUplink makes an empty uplink. It does nothing by itself: a Hub drives it.
func NewUplink(opts UplinkOptions) *Uplink {
	opts.defaults()
	u := &Uplink{opts: opts, wake: make(chan struct{}, 1), encoder: encoder{device: opts.Device, leaf: opts.Leaf}}
	u.disk.wake, u.disk.most = make(chan struct{}, 1), appendMost
	u.disk.away = time.Now() // until a hub says that it is there
	return u
}

// Send takes the messages of one outcome, waiting while the queue is full until
// ctx ends. Either all of them are taken, and the receipt is settled once for each,
// or none and Send returns message.ErrClosed or ctx's error. A message that is too large
// is refused by itself.
func (u *Uplink) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	for {
		err := u.try(outcome, r)
		if !errors.Is(err, message.ErrFull) {
			return err
		}
		if err := u.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

// TrySend is Send without waiting: message.ErrFull when the queue is at its bound.
// Its callers cannot wait, so the disk, where there is one, makes room from then on.
func (u *Uplink) TrySend(outcome []message.Message, r message.Receipt) error {
	err := u.try(outcome, r)
	if errors.Is(err, message.ErrFull) {
		u.Force()
	}
	return err
}

func (u *Uplink) try(outcome []message.Message, r message.Receipt) error {
	tooLarge, err := u.admit(outcome, r)
	for i := range tooLarge {
		refused := refusalOf(encode(tooLarge[i]), errTooLarge)
		u.opts.Refused(refused)
		r.Settled(refused)
	}
	return err
}

// admit encodes the messages into their lanes and returns those that are too large for
// the hub.
func (u *Uplink) admit(outcome []message.Message, r message.Receipt) (tooLarge []*message.Message, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, message.ErrClosed
	}
	if u.bytes >= u.opts.QueueBytes {
		return nil, message.ErrFull
	}
	idle, loose := u.waiting&^(u.busy|u.held) == 0, u.loose
	for i := range outcome {
		if !u.join(&outcome[i], r) {
			tooLarge = append(tooLarge, &outcome[i])
		}
	}
	switch full := u.worth(); {
	case u.disk.spooling:
		u.signalDisk()
	case len(u.flying) == 0, idle && u.waiting&^(u.busy|u.held) != 0, loose < full && u.loose >= full:
		u.signal()
	}
	return tooLarge, nil
}

// join encodes a message into the open batch of its lane, false when it is too large.
func (u *Uplink) join(m *message.Message, r message.Receipt) bool {
	hash := message.Hash(m.Device)
	number := laneOf(hash)
	l := &u.lanes[number]
	b := l.open
	if b == nil {
		b = u.take()
		b.lane, b.began = number, time.Now()
	}
	before := len(b.bytes)
	b.room(len(m.Body))
	b.bytes = u.encoder.appendMessage(b.bytes, m, hash)
	b.add(r)
	size := len(b.bytes) - before
	if size > messageLimit {
		if b.undo(); b.len() == 0 {
			u.put(b)
		}
		return false
	}
	l.open = b
	u.grown(number, size)
	u.bytes += size
	u.count++
	if len(b.bytes) > u.opts.BatchBytes && b.len() > 1 {
		u.seal(l)
	}
	return true
}

// seal closes the open batch of a lane, whose last member made it too large and begins
// the next one.
func (u *Uplink) seal(l *lane) {
	b, next := l.open, u.take()
	b.splitAt(b.len()-1, next)
	next.began = time.Now()
	if l.open = next; !u.disk.spooling {
		l.ready = append(l.ready, b)
		return
	}
	u.grown(b.lane, -len(b.bytes))
	u.disk.aside = append(u.disk.aside, b)
}

// waitForRoom waits until something was settled. The channel comes from the
// waiter, so an uplink nobody waits for costs nothing.
func (u *Uplink) waitForRoom(ctx context.Context) error {
	room := make(chan struct{})
	u.mu.Lock()
	if u.bytes < u.opts.QueueBytes || u.closed {
		u.mu.Unlock()
		return nil
	}
	u.waiters = append(u.waiters, room)
	u.mu.Unlock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		u.mu.Lock()
		defer u.mu.Unlock()
		if i := slices.Index(u.waiters, room); i >= 0 { // it does not stay behind while the hub is away
			u.waiters = slices.Delete(u.waiters, i, i+1)
		}
		return ctx.Err()
	}
}

// Stats returns a snapshot.
func (u *Uplink) Stats() UplinkStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return UplinkStats{
		Bytes: u.bytes, Messages: u.count, Batches: len(u.flying), Oldest: u.oldest(), Retried: u.retried,
	}
}

// oldest is when the oldest message that is neither settled nor on disk was taken;
// zero when there is none.
func (u *Uplink) oldest() (oldest time.Time) {
	look := func(b *batch) {
		if !b.safe && (oldest.IsZero() || b.began.Before(oldest)) {
			oldest = b.began
		}
	}
	u.each(look)
	for _, place := range [...][]*batch{u.disk.writing, u.disk.aside} {
		for _, b := range place {
			look(b)
		}
	}
	return oldest
}

// Drain waits until everything taken is settled, or ctx ends.
func (u *Uplink) Drain(ctx context.Context) error {
	const look = 5 * time.Millisecond // settlements come in batches; a drain is rare
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		if left := u.Stats().Messages; left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain uplink: %d messages not settled: %w", u.Stats().Messages, ctx.Err())
		case <-t.C:
		}
	}
}

// Close refuses further messages and settles what is left with message.ErrClosed, which
// acknowledges nothing. It is called once no Hub drives the uplink any more.
func (u *Uplink) Close() {
	u.mu.Lock()
	u.closed = true
	left := u.disk.aside
	u.each(func(b *batch) { left = append(left, b) })
	u.flying, u.disk.aside, u.lanes = nil, nil, [lanes]lane{}
	u.waiting, u.busy, u.held, u.loose = 0, 0, 0, 0
	u.bytes, u.count = 0, 0
	u.wakeWaiters()
	u.mu.Unlock()
	for _, b := range left {
		b.settle(message.ErrClosed)
	}
}

func (u *Uplink) signal() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// roomMade wakes who waits for room. At three quarters rather than at once, so
// that a waiter goes on for a while: otherwise every settlement would wake every
// waiting link for one message.
func (u *Uplink) roomMade() {
	if u.bytes <= u.opts.QueueBytes/4*3 {
		u.wakeWaiters()
	}
}

func (u *Uplink) wakeWaiters() {
	for i, w := range u.waiters {
		close(w)
		u.waiters[i] = nil
	}
	u.waiters = u.waiters[:0]
}

// leafBatches of leafBatchBytes are kept by the uplink of a device: one being filled and one in
// flight, for what a device says at a time.
const (
	leafBatches    = 2
	leafBatchBytes = 4 << 10
)

// take returns an empty batch; put gives one back. What a busy uplink uses is kept: an
// open batch for each lane and a window of them in flight.
func (u *Uplink) take() *batch {
	if n := len(u.free); n > 0 {
		b := u.free[n-1]
		u.free = u.free[:n-1]
		return b
	}
	return new(batch)
}

func (u *Uplink) put(b *batch) {
	b.reset()
	keep, most := lanes+u.opts.Window, 2*u.opts.BatchBytes
	if u.opts.Leaf { // there are hundreds of them, which are busy in turn
		keep, most = leafBatches, leafBatchBytes
	}
	if len(u.free) < keep && cap(b.bytes) <= most {
		u.free = append(u.free, b)
	}
}
