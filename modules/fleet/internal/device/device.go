package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

// Bounds of a device's waits.
const (
	// dialTimeout and helloTimeout: a cellular modem gives up about then.
	dialTimeout  = 10 * time.Second
	helloTimeout = 10 * time.Second
	writeTimeout = 10 * time.Second
	// A device dials again after a random part of a bound that doubles between
	// these, so that a fleet does not come back at one moment.
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
)

// burst is how many packets are written before the device looks at what it was
// sent; it matters only to devices that wait for nothing.
const burst = 64

var errUnconfirmed = errors.New("no acknowledgement in time")

// Options are what all kinds of devices share.
type Options struct {
	// ID is the device's id, Address the server's host:port.
	ID, Address string
	// Dial connects; it is net.Dialer.DialContext or the like.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// First is the number of the first message, Count how many there are; 0 means
	// no end.
	First, Count uint64
	// Interval is the time between messages; 0 means as fast as they are
	// confirmed.
	Interval time.Duration
	// Delay is how long the device rests before it connects first.
	Delay time.Duration
	// AckTimeout is how long a message may be unconfirmed before it is sent again:
	// on the same socket where acknowledgements name the packet, otherwise on a new one.
	AckTimeout time.Duration
	// ClockSteps is by how much at most the clock that dates the messages is wrong;
	// it jumps every 16 messages. 0 means that it is right.
	ClockSteps time.Duration
}

// packet is one transmission of consecutive messages.
type packet struct {
	from uint64
	n    uint64
	at   time.Time // of the last transmission
}

// What a server says.
const (
	heardOther   = iota // nothing that the device knows
	heardAck            // the oldest packet, or that with the id, is safe
	heardNak            // the oldest packet is refused for good
	heardCommand        // answer it with reply, if there is one
)

// event is one thing that a server says.
type event struct {
	kind    int
	records uint64 // of an ack: how many messages it confirms; 0 when it does not say
	id      uint64 // of an ack: the packet's number
	hasID   bool
	reply   []byte
}

// dialect is what differs between the kinds. next is called in another goroutine
// than hello and encode, but never after the connection's end is waited for.
type dialect interface {
	// hello is called on each new connection and returns when messages may be sent.
	hello(conn net.Conn, r *bufio.Reader) error
	// encode appends a packet.
	encode(dst []byte, p packet) []byte
	// names reports whether the id of an acknowledgement is that of the packet.
	names(id uint64, p packet) bool
	// next reads the next thing that the server says.
	next(r *bufio.Reader) (event, error)
}

// Device is one simulated device.
type Device struct {
	o       Options
	network string
	dialect
	clock    *schedule
	batch    uint64 // messages in one packet
	window   int    // packets in flight; 0: nothing is ever confirmed
	numbered bool   // acknowledgements name their packet
	inflight []packet
	buf      []byte

	settled uint64 // first message that is neither confirmed nor refused
	cursor  uint64 // next message to transmit on this connection
	sent    uint64 // first message that was never transmitted
	stopped bool   // nothing new is sent any more

	mu      sync.Mutex
	account report.Device
	up      bool
}

func newDevice(kind, network string, o Options, batch, window int) *Device {
	d := &Device{o: o, network: network, batch: uint64(batch), window: window}
	d.clock = &schedule{first: o.First, end: math.MaxUint64, interval: o.Interval, steps: o.ClockSteps}
	if o.Count > 0 {
		d.clock.end = o.First + o.Count
	}
	d.settled, d.cursor, d.sent = o.First, o.First, o.First
	d.account = report.Device{Device: o.ID, Kind: kind, First: o.First, Unconfirmed: window == 0}
	return d
}

// Run lives the device's life: until stop is closed and everything sent is
// confirmed, until Count messages are, or until the context ends.
func (d *Device) Run(ctx context.Context, stop <-chan struct{}) {
	d.clock.start = time.Now().Add(d.o.Delay)
	if !d.rest(ctx, stop, d.o.Delay) {
		return
	}
	for wait := backoffMin; ; wait = min(2*wait, backoffMax) {
		greeted, err := d.connect(ctx, stop)
		if d.finished() || ctx.Err() != nil {
			return
		}
		d.note(func(a *report.Device) { a.Errors++; a.LastError = err.Error() })
		if greeted {
			wait = backoffMin
		}
		if !d.rest(ctx, stop, rand.N(wait)) {
			return
		}
	}
}

// rest waits; it returns false when there is nothing left to do.
func (d *Device) rest(ctx context.Context, stop <-chan struct{}, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-stop:
			stop, d.stopped = nil, true
			if d.finished() {
				return false
			}
		}
	}
}

func (d *Device) finished() bool {
	return d.settled == d.clock.end || d.stopped && d.settled == d.sent
}

// connect lives one connection. It reports whether the server let the device in.
func (d *Device) connect(ctx context.Context, stop <-chan struct{}) (greeted bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := d.o.Dial(dialing, d.network, d.o.Address)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r := bufio.NewReaderSize(conn, 2048)
	conn.SetDeadline(time.Now().Add(helloTimeout))
	if err := d.hello(conn, r); err != nil {
		return false, fmt.Errorf("log in: %w", err)
	}
	conn.SetDeadline(time.Time{})
	d.note(func(a *report.Device) { a.Connects++; d.up = true })
	defer d.note(func(*report.Device) { d.up = false })

	events, failed, quit := make(chan event), make(chan error, 1), make(chan struct{})
	go d.listen(r, events, failed, quit)
	err = d.converse(ctx, stop, conn, events, failed)
	_ = conn.Close()
	close(quit)
	for range events { // closed by listen at its end
	}
	return true, err
}

// listen reads until the connection ends.
func (d *Device) listen(r *bufio.Reader, events chan<- event, failed chan<- error, quit <-chan struct{}) {
	defer close(events)
	for {
		e, err := d.next(r)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("closed by the server: %w", err)
		}
		if err != nil {
			failed <- err
			return
		}
		select {
		case events <- e:
		case <-quit:
			return
		}
	}
}

func (d *Device) converse(
	ctx context.Context, stop <-chan struct{}, conn net.Conn, events <-chan event, failed <-chan error,
) error {
	d.inflight, d.cursor = d.inflight[:0], d.settled
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := d.transmit(conn, time.Now()); err != nil {
			return err
		}
		if d.finished() {
			return nil
		}
		timer.Reset(d.wait(time.Now()))
		select {
		case e, ok := <-events:
			if !ok {
				return <-failed
			}
			if err := d.handle(conn, e); err != nil {
				return err
			}
		case <-stop:
			stop, d.stopped = nil, true
		case <-timer.C:
			if err := d.expire(conn, time.Now()); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transmit sends what is due and fits into the window.
func (d *Device) transmit(conn net.Conn, now time.Time) error {
	for range burst {
		limit := d.clock.due(now)
		if d.stopped {
			limit = d.sent
		}
		if d.cursor >= limit || d.window > 0 && len(d.inflight) >= d.window {
			return nil
		}
		p := packet{from: d.cursor, n: min(d.batch, limit-d.cursor), at: now}
		if err := d.write(conn, p); err != nil {
			return err
		}
		d.cursor += p.n
		if d.window == 0 {
			d.settled = d.cursor
			continue
		}
		d.inflight = append(d.inflight, p)
	}
	return nil
}

// write transmits a packet and accounts for it.
func (d *Device) write(conn net.Conn, p packet) error {
	d.buf = d.encode(d.buf[:0], p)
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	// What was handed to the socket may arrive even when an error is returned.
	repeated := min(p.n, d.sent-p.from)
	d.sent = max(d.sent, p.from+p.n)
	d.note(func(a *report.Device) {
		a.Sent = d.sent - d.o.First
		a.Resent += repeated
	})
	if _, err := conn.Write(d.buf); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// wait is how long there is nothing to do unless the server says something.
func (d *Device) wait(now time.Time) time.Duration {
	wait := time.Minute
	if len(d.inflight) > 0 {
		wait = d.inflight[0].at.Add(d.o.AckTimeout).Sub(now)
	}
	if !d.stopped && d.cursor < d.clock.end && (d.window == 0 || len(d.inflight) < d.window) {
		wait = min(wait, d.clock.at(d.cursor).Sub(now))
	}
	return max(wait, 0)
}

// expire sends the oldest packet again, or gives the connection up. Where
// acknowledgements do not name their packet, one that comes late would be taken for
// that of the repetition: a new connection, over UDP a new port, does not hear it.
func (d *Device) expire(conn net.Conn, now time.Time) error {
	if len(d.inflight) == 0 || now.Sub(d.inflight[0].at) < d.o.AckTimeout {
		return nil
	}
	if !d.numbered {
		return errUnconfirmed
	}
	p := &d.inflight[0]
	p.at = now
	return d.write(conn, *p)
}

func (d *Device) handle(conn net.Conn, e event) error {
	switch e.kind {
	case heardCommand:
		if e.reply == nil {
			d.note(func(a *report.Device) { a.Ignored++ })
			return nil
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := conn.Write(e.reply); err != nil {
			return fmt.Errorf("answer a command: %w", err)
		}
		d.note(func(a *report.Device) { a.Commands++ })
	case heardAck, heardNak:
		return d.settle(e)
	}
	return nil
}

// settle takes an acknowledgement or a refusal of the oldest packet.
func (d *Device) settle(e event) error {
	switch {
	case len(d.inflight) == 0:
		return nil // one for a packet that was sent twice
	case e.hasID && !d.names(e.id, d.inflight[0]):
		return nil
	}
	p := d.inflight[0]
	if e.kind == heardAck && e.records != 0 && e.records != p.n {
		return fmt.Errorf("%d messages acknowledged, %d were sent", e.records, p.n)
	}
	d.inflight = slices.Delete(d.inflight, 0, 1)
	d.settled = p.from + p.n
	d.note(func(a *report.Device) {
		if e.kind == heardNak {
			a.Refused += p.n
			return
		}
		a.Acknowledged = a.Acknowledged.Append(p.from, p.from+p.n-1)
	})
	return nil
}

// note changes the account.
func (d *Device) note(change func(*report.Device)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.account)
}

// Account returns what the device did so far. It may be called at any time.
func (d *Device) Account() report.Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.account
	a.Acknowledged = slices.Clone(a.Acknowledged)
	return a
}

// Connected reports whether the device is let in at the moment.
func (d *Device) Connected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.up
}
