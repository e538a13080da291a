package gateway

import (
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
)

// answerBytes ends the list of an answer: a method has 128 KiB.
const answerBytes = 64 << 10

// decoded is the answer of the method decode.
type decoded struct {
	dialogue.Report
	Good bool `json:"good"`
	// Outcome is what came of the frames, in order; Cut tells that there was more.
	Outcome []dialogue.Entry `json:"outcome"`
	Cut     bool             `json:"cut,omitempty"`
}

// Decode implements command.Decoder. Nothing is sent anywhere.
func (g *Gateway) Decode(r command.Decode) (any, error) {
	c, setting, err := g.decoding(r)
	if err != nil {
		return nil, err
	}
	answer, size := decoded{Outcome: []dialogue.Entry{}}, 0
	answer.Report, err = dialogue.Decode(c, setting, dialogue.Pieces(r.Bytes),
		func(n int, _ []byte, out *codec.Outcome, err error) {
			for _, e := range dialogue.Entries(n, out, err) {
				if size > answerBytes {
					answer.Cut = true
					return
				}
				size += len(e.Body) + len(e.Hex) + len(e.Payload) + len(e.Reason) + letterOverhead
				if e.Text != nil {
					size += len(*e.Text)
				}
				answer.Outcome = append(answer.Outcome, e)
			}
		})
	answer.Good = err == nil && answer.Report.Good()
	return answer, err
}

// decoding finds the codec that is meant, and how it gets its frames.
func (g *Gateway) decoding(r command.Decode) (codec.Codec, dialogue.Setting, error) {
	setting := dialogue.Setting{Transport: r.Transport, Frame: r.Frame, Device: r.Device}
	if r.Listener == "" {
		factory, _, err := g.plugins.factory(g.plugins.current(), r.Codec)
		if err != nil {
			return nil, setting, err
		}
		c, err := factory(r.Options)
		return c, setting, err
	}
	running := g.running()[r.Listener]
	if running == nil {
		return nil, setting, fmt.Errorf("the configuration has no listener %q", r.Listener)
	}
	setting.Transport, setting.Frame = running.config.Bind.Transport, running.config.Frame
	return running.profile.Current(), setting, nil
}
