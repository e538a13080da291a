package deadletter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const (
	// OutputName is the module output of dead letters.
	OutputName = "deadletter"
	// rate is how many letters of one listener are sent in a second, and burst how many
	// after a quiet time: enough to see what a device sends, and with frames of the
	// default limit at most a few hundred KB/s beside the telemetry.
	rate  = 10
	burst = 20
	// bodyLimit is the largest body that is sent. The hub takes 256 KiB with the
	// properties; what is larger, or was refused for its size, is only told of.
	bodyLimit = 192 << 10
	// listenersKept bounds the listeners whose rate is remembered: a configuration has
	// 64, and names that are gone leave no trace.
	listenersKept = 256
	// propertyLimit bounds the reason as a property.
	propertyLimit = 512
)

// Sender is the way up. A letter is never waited for.
type Sender interface {
	TrySend(messages []message.Message, r message.Receipt) error
}

// Output sends letters to the hub. Send is for one goroutine at a time.
type Output struct {
	uplink  Sender
	buckets map[string]*allowance
	unsent  atomic.Uint64
}

// allowance is a listener's token bucket.
type allowance struct {
	tokens float64
	at     time.Time
}

// NewOutput makes an output.
func NewOutput(uplink Sender) *Output {
	return &Output{uplink: uplink, buckets: make(map[string]*allowance)}
}

// Unsent is how many letters were not sent, or not taken by the hub.
func (o *Output) Unsent() uint64 { return o.unsent.Load() }

// Send sends a letter, unless too many of its listener were sent just before. The
// message's id is derived from the letter's.
func (o *Output) Send(l *Letter) {
	if !o.allow(l.Listener, time.Now()) || o.uplink.TrySend([]message.Message{o.message(l)}, o) != nil {
		o.unsent.Add(1)
	}
}

// Settled implements message.Receipt. A dead letter that is refused is no letter
// again.
func (o *Output) Settled(err error) {
	if err != nil {
		o.unsent.Add(1)
	}
}

func (o *Output) allow(listener string, now time.Time) bool {
	a := o.buckets[listener]
	if a == nil {
		if len(o.buckets) >= listenersKept {
			clear(o.buckets)
		}
		a = &allowance{tokens: burst, at: now}
		o.buckets[listener] = a
	}
	a.tokens = min(burst, a.tokens+rate*max(now.Sub(a.at).Seconds(), 0))
	a.at = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}

func (o *Output) message(l *Letter) message.Message {
	device := l.Device
	if device == "" {
		device = l.Listener
	}
	m := message.Message{
		Device: device, Listener: l.Listener, Codec: l.Codec, Output: OutputName, Epoch: l.ID, Created: l.Time,
		Body: l.Body, ContentType: "application/octet-stream",
		Properties: []message.Property{
			{Name: "kind", Value: string(l.Kind)},
			{Name: "reason", Value: cut(l.Reason, propertyLimit)},
			{Name: "codecVersion", Value: l.CodecVersion},
			{Name: "letterId", Value: strconv.FormatUint(l.ID, 10)},
		},
	}
	if e := l.Message; e != nil && e.ContentType != "" {
		m.ContentType, m.ContentEncoding = e.ContentType, e.ContentEncoding
	}
	if len(l.Body) > bodyLimit {
		m.Body, m.ContentType, m.ContentEncoding = note(l), "application/json", "utf-8"
	}
	return m
}

// note stands for a body that is too large to be sent.
func note(l *Letter) []byte {
	b, err := json.Marshal(map[string]any{
		"letterId": l.ID, "bytes": len(l.Body), "kind": l.Kind, "reason": l.Reason,
	})
	if err != nil { // none of these can fail to be encoded
		return fmt.Appendf(nil, `{"letterId":%d}`, l.ID)
	}
	return b
}
