// Package identify guesses which codec unknown bytes belong to: it asks the codecs
// that recognise their own protocol ([codec.Identifier]), tries the others, and says
// at least what kind of bytes they are.
//
// A guess is a hint for people, on the command line and in the log of a listener that
// understands nothing; nothing is decided by it.
package identify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// maxLooked bounds what is looked at: the first frames tell.
const maxLooked = 16 << 10

// Guess is one thing that the bytes may be.
type Guess struct {
	// Codec is the name of a codec of the registry.
	Codec string `json:"codec"`
	// Confidence is from 1 to 100.
	Confidence int `json:"confidence"`
	// Reason says why.
	Reason string `json:"reason"`
	// Frame is a framing that a listener needs for them, nil for none.
	Frame json.RawMessage `json:"frame,omitempty"`
}

// Of guesses, the likeliest first; codecs that do not fit are left out. The data is
// the beginning of a stream, a frame or a datagram, and is only looked at.
func Of(registry *codec.Registry, data []byte) []Guess {
	data = data[:min(len(data), maxLooked)]
	if len(data) == 0 {
		return nil
	}
	var list []Guess
	for _, name := range registry.Names() {
		c, err := registry.New(name, nil)
		if err != nil {
			continue // it cannot be without options
		}
		confidence, reason, knows := ask(c, data)
		if !knows {
			confidence, reason = try(c, data)
		}
		if confidence > 0 {
			list = append(list, Guess{Codec: name, Confidence: min(confidence, 100), Reason: reason})
		}
	}
	list = append(list, kindOf(data))
	slices.SortStableFunc(list, func(a, b Guess) int { return b.Confidence - a.Confidence })
	return list
}

// ask asks a codec that recognises its own protocol; its panic is a no.
func ask(c codec.Codec, data []byte) (confidence int, reason string, knows bool) {
	i, knows := c.(codec.Identifier)
	if !knows {
		return 0, "", false
	}
	defer func() {
		if recover() != nil {
			confidence, reason = 0, ""
		}
	}()
	confidence, reason = i.Identify(bytes.Clone(data))
	return confidence, reason, true
}

// try decodes the data as the codec would, as a stream that it cuts itself and as a
// datagram. What it takes proves nothing if it takes noise as well.
func try(c codec.Codec, data []byte) (confidence int, reason string) {
	const whole, part = 90, 60
	for _, transport := range []string{"tcp", "udp"} {
		good, bad := decode(c, transport, data)
		if good == 0 {
			continue
		}
		if noiseGood, _ := decode(c, transport, noise(len(data))); noiseGood > 0 {
			continue
		}
		found := part
		if bad == 0 {
			found = whole
		}
		if found > confidence {
			confidence, reason = found, fmt.Sprintf("%d frames decoded over %s, %d not", good, transport, bad)
		}
	}
	return confidence, reason
}

// decode counts the frames that became a message or named a device, and those that
// could not be decoded, bytes that are left over included.
func decode(c codec.Codec, transport string, data []byte) (good, bad int) {
	var err error
	defer func() {
		if err != nil { // it cannot begin, or panicked
			good, bad = 0, 1
		}
	}()
	defer dialogue.Recovered(&err)
	l, err := dialogue.Open(c, transport, nil)
	if err != nil {
		return 0, 1
	}
	defer l.Close()
	l.Took = func(_ []byte, out *codec.Outcome, err error) {
		switch {
		case err != nil:
			bad++
		case len(out.Messages) > 0 || out.Identity.Device != "":
			good++
		}
	}
	l.Receive(data)
	l.End()
	if l.Rest() > 0 && !l.Dead() {
		bad++
	}
	return good, bad
}

// noise is always the same, so that the same bytes lead to the same guess.
func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// kindOf says what kind of bytes they are; the codec raw passes them on.
func kindOf(data []byte) Guess {
	const text, binary, sized = 20, 5, 15
	g := Guess{Codec: "raw", Confidence: binary, Reason: "binary"}
	if printable(data) {
		g.Confidence, g.Reason = text, "text"
		if bytes.ContainsAny(data, "\n") {
			g.Reason, g.Frame = "lines of text", json.RawMessage(`{"type":"line"}`)
		}
		return g
	}
	last := len(data) - 1
	switch n := len(data); {
	case n > 2 && data[0] == 0x7e && data[last] == 0x7e:
		g.Confidence, g.Reason = sized, "between bytes 7E, as HDLC and JT/T 808"
		g.Frame = json.RawMessage(`{"type":"delimited","start":"7e","end":"7e"}`)
	case n > 2 && data[0] == 0x02 && data[last] == 0x03:
		g.Confidence, g.Reason = sized, "between STX and ETX"
		g.Frame = json.RawMessage(`{"type":"delimited","start":"02","end":"03"}`)
	case n > 2 && int(data[0])<<8|int(data[1]) == n-2:
		g.Confidence, g.Reason = sized, "the first two bytes are the length of the rest"
		g.Frame = json.RawMessage(`{"type":"length","offset":0,"size":2}`)
	case n > 1 && int(data[0]) == n-1:
		g.Confidence, g.Reason = sized, "the first byte is the length of the rest"
		g.Frame = json.RawMessage(`{"type":"length","offset":0,"size":1}`)
	}
	return g
}

func printable(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == '\x7f'
	})
}
