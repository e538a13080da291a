package session

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLink is a link whose other end is in memory. What is sent is kept.
type fakeLink struct {
	net.Conn // the gateway's end, for Read and SetReadDeadline

	peer codec.Peer
	done chan struct{}

	mu     sync.Mutex
	sent   strings.Builder
	reason string
	deaf   error // what Send fails with
}

func newFakeLink(transport string) (link *fakeLink, device net.Conn) {
	near, far := net.Pipe()
	return &fakeLink{Conn: near, peer: codec.Peer{Listener: "l", Transport: transport}, done: make(chan struct{})}, far
}

func (k *fakeLink) Send(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reason != "" {
		return net.ErrClosed
	}
	if k.deaf == nil {
		k.sent.Write(b)
	}
	return k.deaf
}

func (k *fakeLink) Close(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reason == "" {
		k.reason = reason
		close(k.done)
		_ = k.Conn.Close()
	}
}

// Reason makes it a link that knows why it was closed.
func (k *fakeLink) Reason() string { return k.closedFor() }

func (k *fakeLink) Peer() codec.Peer      { return k.peer }
func (k *fakeLink) Done() <-chan struct{} { return k.done }

func (k *fakeLink) written() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sent.String()
}

func (k *fakeLink) closedFor() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reason
}

// fakeUplink keeps what it is given until the test settles it.
type fakeUplink struct {
	mu       sync.Mutex
	bodies   []string
	devices  []string
	seqs     []uint64
	receipts []message.Receipt
	refusing func(body string) error
	full     bool          // TrySend has no room, and Send waits
	room     chan struct{} // ends the waiting of Send
}

func (u *fakeUplink) TrySend(outcome []message.Message, r message.Receipt) error {
	refused, err := u.admit(outcome, r)
	for _, err := range refused {
		r.Settled(err)
	}
	return err
}

// admit takes all messages, but for those that are refused for good, or none.
func (u *fakeUplink) admit(outcome []message.Message, r message.Receipt) (refused []error, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.full {
		return nil, message.ErrFull
	}
	errs := make([]error, len(outcome))
	for i := range outcome {
		if u.refusing != nil {
			errs[i] = u.refusing(string(outcome[i].Body))
		}
		if errs[i] != nil && !errors.Is(errs[i], message.ErrRefused) {
			return nil, errs[i]
		}
	}
	for i, m := range outcome {
		if errs[i] != nil {
			refused = append(refused, errs[i])
			continue
		}
		u.bodies, u.receipts = append(u.bodies, string(m.Body)), append(u.receipts, r)
		u.devices, u.seqs = append(u.devices, m.Device), append(u.seqs, m.Seq)
	}
	return refused, nil
}

func (u *fakeUplink) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	for {
		err := u.TrySend(outcome, r)
		if !errors.Is(err, message.ErrFull) {
			return err
		}
		select {
		case <-u.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fill makes the queue full, or not.
func (u *fakeUplink) fill(full bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.full = full
}

func (u *fakeUplink) taken() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.bodies)
}

// settle ends the message with this body.
func (u *fakeUplink) settle(t *testing.T, body string, err error) {
	t.Helper()
	u.mu.Lock()
	i := slices.Index(u.bodies, body)
	if i < 0 {
		u.mu.Unlock()
		t.Fatalf("no message %q was handed up", body)
	}
	r := u.receipts[i]
	u.mu.Unlock()
	r.Settled(err)
}

// fakeRouter sends alarms to an output of their own.
type fakeRouter struct{}

func (fakeRouter) Apply(m *message.Message) {
	if string(m.Body) == "alarm" {
		m.Output = "alarms"
	}
}

// fakeObserver keeps what it is told.
type fakeObserver struct {
	mu                           sync.Mutex
	faults                       []Fault
	frames, sent, positive, nays int
}

func (o *fakeObserver) Received(n, _ int) { o.mu.Lock(); o.frames += n; o.mu.Unlock() }
func (o *fakeObserver) Sent(n int) {
	o.mu.Lock()
	o.sent += n
	o.mu.Unlock()
}

func (o *fakeObserver) Acknowledged(_ time.Duration, positive bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if positive {
		o.positive++
	} else {
		o.nays++
	}
}

func (o *fakeObserver) Fault(f Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.Frame = slices.Clone(f.Frame) // borrowed
	o.faults = append(o.faults, f)
}

func (o *fakeObserver) kinds() []FaultKind {
	o.mu.Lock()
	defer o.mu.Unlock()
	var kinds []FaultKind
	for _, f := range o.faults {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// rig is a listener's profile with fakes around it.
type rig struct {
	*Profile
	uplink   *fakeUplink
	observer *fakeObserver
	present  []string // devices that the table found, in order
	draining context.Context
	drain    context.CancelFunc
}

func newRig(t *testing.T) *rig {
	t.Helper()
	u, o := &fakeUplink{room: make(chan struct{})}, &fakeObserver{}
	r := &rig{uplink: u, observer: o, Profile: &Profile{
		Listener: "l", CodecName: "toy", Output: "telemetry", Codec: toy{},
		Admission:  AdmitFunc(func(device string) bool { return device != "stranger" }),
		FrameBytes: 1024, LoginBytes: 4096, LoginTime: 10 * time.Second, Idle: time.Minute,
		Uplink: u, Router: fakeRouter{}, Table: NewTable(), Observer: o,
	}}
	r.Table.Present = func(device string) { r.present = append(r.present, device) }
	r.draining, r.drain = context.WithCancel(t.Context())
	return r
}

// device is the other end of a served link. It lives in a synctest bubble.
type device struct {
	t       *testing.T
	link    *fakeLink
	conn    net.Conn
	session *Session
	served  chan struct{}
}

// connect serves a stream link until the test ends.
func (r *rig) connect(t *testing.T) *device {
	t.Helper()
	link, conn := newFakeLink("tcp")
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, link: link, conn: conn, session: s, served: make(chan struct{})}
	go func() {
		defer close(d.served)
		for !s.Serve(t.Context(), r.draining, link).IsZero() { // it rests, and is woken at once
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		link.Close("test-ended")
		<-d.served
	})
	return d
}

// say writes to the gateway, and waits until nothing moves any more.
func (d *device) say(text string) {
	d.t.Helper()
	_ = d.conn.SetWriteDeadline(time.Now().Add(time.Millisecond)) // the gateway may not be reading
	if _, err := d.conn.Write([]byte(text)); err != nil && d.link.closedFor() == "" {
		d.t.Fatalf("say %q: %v", text, err)
	}
	synctest.Wait()
}

// heard checks all that the device was ever sent.
func (d *device) heard(want string) {
	d.t.Helper()
	synctest.Wait()
	if got := d.link.written(); got != want {
		d.t.Fatalf("the device heard %q, want %q", got, want)
	}
}

// closedFor checks why the link was closed; empty means that it is open.
func (d *device) closedFor(want string) {
	d.t.Helper()
	synctest.Wait()
	if got := d.link.closedFor(); got != want {
		d.t.Fatalf("the link is closed for %q, want %q", got, want)
	}
}

func (r *rig) faults(t *testing.T, want ...FaultKind) {
	t.Helper()
	if got := r.observer.kinds(); !slices.Equal(got, want) {
		t.Errorf("faults %v, want %v", r.observer.faults, want)
	}
}
