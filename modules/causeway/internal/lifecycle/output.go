package lifecycle

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const (
	// OutputName is the module output of events.
	OutputName = "events"
	// nobody stands for the listener and the codec of an event that has none.
	nobody = "causeway"
	// unsettledMost bounds the events that are on their way: with their envelopes some
	// 200 kB, a twentieth of the queue that they share with the telemetry.
	unsettledMost = 256
)

// Sender is the way up. An event is never waited for.
type Sender interface {
	TrySend(messages []message.Message, r message.Receipt) error
}

// Output sends events. It is safe for concurrent use; what one caller tells of a device
// after another leaves after it. It calls nobody but the Sender, with a lock held, so it
// may be told with locks held that the Sender does not need.
type Output struct {
	uplink Sender
	on     atomic.Uint32 // a bit for each kind
	sent   atomic.Uint64
	// unsettled are on their way. dropped are not told of yet, lost are all of them.
	unsettled     atomic.Int64
	dropped, lost [kinds]atomic.Uint64

	mu     sync.Mutex
	epoch  uint64
	seq    uint64
	limits limits
}

// NewOutput makes an output that tells nothing until it is configured.
func NewOutput(uplink Sender) *Output {
	// Distinct from the epochs of other lives, as those of sessions are.
	epoch := uint64(time.Now().UnixMilli())<<20 | rand.Uint64N(1<<20) //nolint:gosec // needs to be distinct, not secret
	return &Output{uplink: uplink, epoch: epoch}
}

// Configure says what is told, and how much of it.
func (o *Output) Configure(s Settings) {
	var on uint32
	for kind, tells := range s.Kinds {
		if tells {
			on |= 1 << kind
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits.configure(s)
	o.on.Store(on)
}

// Tells says whether events of a kind are told: whoever has to work for an event asks
// first.
func (o *Output) Tells(k Kind) bool { return o.on.Load()>>k&1 != 0 }

// Tell sends an event, unless its kind is off. It never waits.
func (o *Output) Tell(e Event) {
	if !o.Tells(e.Kind) {
		return
	}
	now := time.Now()
	if e.At.IsZero() {
		e.At = now
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsettled.Load() >= unsettledMost || !o.limits.allow(e.lane(), now) || !o.send(&e) {
		o.miss(e.Kind)
	}
}

// lane is the device whose messages the event is among; that of nobody is the listener's.
func (e *Event) lane() string {
	switch {
	case e.Device != "":
		return e.Device
	case e.Listener != "":
		return e.Listener
	default:
		return nobody
	}
}

// send hands an event up, with what was dropped before it. Called under mu, so that the
// numbers ascend on their way.
func (o *Output) send(e *Event) bool {
	told := o.owed()
	session := ""
	if e.Session != 0 {
		session = strconv.FormatUint(e.Session, 36) //nolint:mnd // as in message ids
	}
	b, err := e.encode(session, told)
	if err != nil {
		return false
	}
	m := message.Message{
		Device: e.lane(), Listener: e.Listener, Codec: e.Codec, Output: OutputName, Epoch: o.epoch, Seq: o.seq + 1,
		Body: b, ContentType: "application/json", ContentEncoding: "utf-8", Created: e.At,
		Properties: []message.Property{{Name: "kind", Value: e.Kind.String()}},
	}
	if m.Listener == "" {
		m.Listener, m.Codec = nobody, nobody
	}
	o.unsettled.Add(1)
	if err := o.uplink.TrySend([]message.Message{m}, &receipt{output: o, kind: e.Kind, told: told}); err != nil {
		o.unsettled.Add(-1)
		return false
	}
	o.seq++
	o.sent.Add(1)
	for kind, n := range told {
		o.dropped[kind].Add(-n)
	}
	return true
}

// owed is what was dropped and not told of yet.
func (o *Output) owed() map[Kind]uint64 { return tally(&o.dropped) }

func tally(counts *[kinds]atomic.Uint64) (list map[Kind]uint64) {
	for kind := range counts {
		if n := counts[kind].Load(); n > 0 {
			if list == nil {
				list = make(map[Kind]uint64)
			}
			list[Kind(kind)] = n //nolint:gosec // a dozen
		}
	}
	return list
}

func (o *Output) miss(k Kind) {
	o.dropped[k].Add(1)
	o.lost[k].Add(1)
}

// receipt hears what became of one event.
type receipt struct {
	output *Output
	kind   Kind
	told   map[Kind]uint64
}

// Settled implements message.Receipt. What an event told that did not arrive is told
// by the next.
func (r *receipt) Settled(err error) {
	r.output.unsettled.Add(-1)
	if err == nil {
		return
	}
	for kind, n := range r.told {
		r.output.dropped[kind].Add(n)
	}
	r.output.miss(r.kind)
}

// Stats is what operators are told of events, since the start.
type Stats struct {
	// Sent were handed to the uplink, Dropped were over a bound or did not arrive.
	Sent    uint64          `json:"sent"`
	Dropped map[Kind]uint64 `json:"dropped,omitempty"`
}

// Stats returns a snapshot.
func (o *Output) Stats() Stats { return Stats{Sent: o.sent.Load(), Dropped: tally(&o.lost)} }
