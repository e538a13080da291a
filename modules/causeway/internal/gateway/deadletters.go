package gateway

import (
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/deadletter"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	// previewBytes of a letter's body are shown in a list, in hexadecimal.
	previewBytes = 256
	// pageBytes ends a page of letters: an answer of a method has 128 KiB.
	pageBytes = 96 << 10
	// letterOverhead is about what a letter takes in a list besides its texts.
	letterOverhead = 300
)

// deadLetters is where faults and refusals become dead letters, and back.
type deadLetters struct {
	g      *Gateway
	ring   *deadletter.Ring
	output *deadletter.Output

	replaying sync.Mutex // one replay at a time
	mu        sync.Mutex
	again     map[string]bool // ids of messages that a replay waits for
}

func newDeadLetters(g *Gateway, file *state.File) *deadLetters {
	d := &deadLetters{g: g, output: deadletter.NewOutput(g.uplink), again: make(map[string]bool)}
	d.ring = deadletter.New(deadletter.Options{
		File: file, Count: 10_000, Bytes: 16 << 20, // until the document says otherwise
		Stored: d.output.Send,
		Failed: func(err error) { g.observers.flood.Warn("dead letters not kept", err) },
	})
	return d
}

// configure takes the bounds of the document.
func (d *deadLetters) configure(c config.DeadLetters) { d.ring.Bound(c.Count, c.Bytes) }

// fault keeps the bytes that a fault is about.
func (d *deadLetters) fault(o *listenerObserver, f session.Fault) {
	if len(f.Frame) == 0 || f.Private && o.admission.guarded() {
		return // what may be a password is kept and sent nowhere
	}
	switch f.Kind {
	case session.FaultMalformed, session.FaultProtocol, session.FaultBroken:
	default:
		return
	}
	o.DeadLetters.Inc(string(deadletter.Malformed))
	peer := f.Link.Peer()
	l := deadletter.Letter{
		Time: time.Now(), Kind: deadletter.Malformed, Reason: f.Err.Error(),
		Listener: o.name, Codec: o.codec, CodecVersion: *o.version.Load(),
		Transport: peer.Transport, Remote: peer.Remote.String(), Device: f.Device, Uncut: f.Uncut, Body: f.Frame,
	}
	if l.Device == o.name { // the session's word for nobody
		l.Device = ""
	}
	d.ring.Add(l)
}

// refused keeps a message that the hub will never take, unless it is a dead letter
// itself or one that is being replayed: that one is still kept.
func (d *deadLetters) refused(r *message.Refused) {
	m := r.Message
	if m.Output == deadletter.OutputName && m.Seq == 0 { // no session counts from 0
		return
	}
	d.mu.Lock()
	known := d.again[string(m.AppendID(nil))]
	d.mu.Unlock()
	if known {
		return
	}
	l := deadletter.OfMessage(m, r.Reason)
	l.Time, l.CodecVersion = time.Now(), d.g.opts.Version
	d.g.observers.metrics.Listener(m.Listener).DeadLetters.Inc(string(deadletter.Refused))
	d.ring.Add(l)
}

// letterState is what operators are told of the ring.
type letterState struct {
	Count   int    `json:"count"`
	Bytes   int    `json:"bytes"`
	Dropped uint64 `json:"dropped"`
	Lost    uint64 `json:"lost"`
	Unsent  uint64 `json:"unsent"`
}

func (d *deadLetters) state() letterState {
	s := d.ring.Stats()
	return letterState{Count: s.Count, Bytes: s.Bytes, Dropped: s.Dropped, Lost: s.Lost, Unsent: d.output.Unsent()}
}

// letterView is a letter in a list.
type letterView struct {
	ID           uint64    `json:"id"`
	Time         time.Time `json:"time"`
	Kind         string    `json:"kind"`
	Reason       string    `json:"reason"`
	Listener     string    `json:"listener"`
	Codec        string    `json:"codec"`
	CodecVersion string    `json:"codecVersion"`
	Transport    string    `json:"transport,omitempty"`
	Remote       string    `json:"remote,omitempty"`
	Device       string    `json:"deviceId,omitempty"`
	MessageID    string    `json:"messageId,omitempty"`
	Output       string    `json:"output,omitempty"`
	Bytes        int       `json:"bytes"`
	// Hex is the beginning of the body.
	Hex string `json:"hex"`
}

// letterPage is a page of a list; Next is the id to go on after, absent at the end.
type letterPage struct {
	Letters []letterView `json:"letters"`
	Total   int          `json:"total"`
	Next    uint64       `json:"next,omitempty"`
}

// List implements command.DeadLetters.
func (d *deadLetters) List(after uint64, limit int, listener string) (any, error) {
	page, size := letterPage{Letters: []letterView{}, Total: d.ring.Stats().Count}, 0
	err := d.ring.Walk(after, func(l *deadletter.Letter) bool {
		if listener != "" && l.Listener != listener {
			return true
		}
		if len(page.Letters) >= limit || size > pageBytes {
			page.Next = page.Letters[len(page.Letters)-1].ID
			return false
		}
		v := viewOf(l)
		size += len(v.Hex) + len(v.Reason) + letterOverhead
		page.Letters = append(page.Letters, v)
		return true
	})
	return page, err
}

func viewOf(l *deadletter.Letter) letterView {
	v := letterView{
		ID: l.ID, Time: l.Time, Kind: string(l.Kind), Reason: l.Reason, Listener: l.Listener, Codec: l.Codec,
		CodecVersion: l.CodecVersion, Transport: l.Transport, Remote: l.Remote, Device: l.Device,
		Bytes: len(l.Body), Hex: hex.EncodeToString(l.Body[:min(len(l.Body), previewBytes)]),
	}
	if m, ok := l.Resend(); ok {
		v.MessageID, v.Output = string(m.AppendID(nil)), m.Output
	}
	return v
}

// remote reads the address back; the zero address where there was none.
func remote(text string) netip.AddrPort {
	addr, _ := netip.ParseAddrPort(text) // zero on error
	return addr
}

// letterGauges adds what the ring knows to the metrics.
func (o *observers) letterGauges(d *deadLetters) error {
	if err := o.metrics.Gauge("causeway_dead_letters_kept", "Dead letters on disk.", func() float64 {
		return float64(d.ring.Stats().Count)
	}); err != nil {
		return err
	}
	if err := o.metrics.Gauge("causeway_dead_letters_kept_bytes", "Bytes of the dead letters on disk.", func() float64 {
		return float64(d.ring.Stats().Bytes)
	}); err != nil {
		return err
	}
	for _, counter := range []struct {
		name, help string
		value      func(letterState) uint64
	}{
		{"causeway_dead_letters_dropped_total", "Dead letters that gave way to newer ones.",
			func(s letterState) uint64 { return s.Dropped }},
		{"causeway_dead_letters_lost_total", "Dead letters that could not be written to disk.",
			func(s letterState) uint64 { return s.Lost }},
		{"causeway_dead_letters_unsent_total", "Dead letters that the output deadletter left out: too many, or refused.",
			func(s letterState) uint64 { return s.Unsent }},
	} {
		value := func() float64 { return float64(counter.value(d.state())) }
		if err := o.metrics.Counter(counter.name, counter.help, value); err != nil {
			return err
		}
	}
	return nil
}
