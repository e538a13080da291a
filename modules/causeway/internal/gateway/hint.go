package gateway

import (
	"strconv"
	"sync/atomic"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identify"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

const (
	// hintFrames bounds the frames of a listener that are looked at: each costs every
	// codec a look, some ten microseconds, and whoever sends garbage sends more of it.
	hintFrames = 8
	// hintConfidence is how sure a hint must be, so that the log says nothing wrong.
	hintConfidence = 75
)

// hint tells operators whose devices came to the wrong listener what they seem to
// speak, the commonest fault of a new installation. It looks at the first malformed
// frames of a listener that has never decoded one.
type hint struct {
	registry *codec.Registry
	codec    string
	decoded  atomic.Bool
	looked   atomic.Int32
}

// sent notes that the listener understands its devices.
func (h *hint) sent() {
	if !h.decoded.Load() {
		h.decoded.Store(true)
	}
}

// of returns what the bytes of the fault look like: another codec's.
func (h *hint) of(f session.Fault) (guess identify.Guess, ok bool) {
	if h.registry == nil || len(f.Frame) == 0 || h.decoded.Load() || h.looked.Load() >= hintFrames {
		return guess, false
	}
	if f.Kind != session.FaultMalformed && f.Kind != session.FaultProtocol {
		return guess, false
	}
	if h.looked.Add(1) > hintFrames {
		return guess, false
	}
	guesses := identify.Of(h.registry, f.Frame)
	if len(guesses) == 0 || guesses[0].Codec == h.codec || guesses[0].Confidence < hintConfidence {
		return guess, false
	}
	return guesses[0], true
}

// tell writes the hint of a fault, if there is one.
func (o *listenerObserver) tell(f session.Fault) {
	guess, ok := o.hint.of(f)
	if !ok {
		return
	}
	o.flood.Warn("device at the wrong listener? listener="+o.name+" codec="+o.codec+": its frames look like "+
		guess.Codec, nil, "confidence", strconv.Itoa(guess.Confidence)+" %", "why", guess.Reason,
		"remote", f.Link.Peer().Remote.String())
}

// Sent implements session.Observer.
func (o *listenerObserver) Sent(messages int) {
	o.hint.sent()
	o.Listener.Sent(messages)
}
