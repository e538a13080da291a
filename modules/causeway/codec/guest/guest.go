package guest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Served is a codec that the module offers.
type Served struct {
	factory   codec.Factory
	examples  fs.FS
	codec     codec.Codec
	splits    bool
	dialogues map[uint32]codec.Dialogue
	out       codec.Outcome
	result    []byte
	input     []byte // where the gateway writes; it always hands in its beginning
}

// served is what the exported functions speak for: a module is one codec.
var served *Served //nolint:gochecknoglobals // exported functions have no receiver

// Serve makes the codecs of the factory the module's. Examples are the case files of
// codectest, *.txtar, that the module brings along; nil for none. It is called once,
// when the module starts:
//
//	var _ = guest.Serve(New, nil)
func Serve(factory codec.Factory, examples fs.FS) *Served {
	served = &Served{factory: factory, examples: examples, dialogues: map[uint32]codec.Dialogue{}}
	return served
}

// configure makes the codec. What it returns are records, as for all that follow.
func (s *Served) configure(options []byte) []byte {
	c, err := s.factory(json.RawMessage(options))
	if err != nil {
		return s.failed(err)
	}
	s.codec = c
	if d, err := c.Begin(codec.Peer{Transport: "tcp"}); err == nil {
		_, s.splits = d.(codec.Framer)
	}
	return nil
}

// begin begins a dialogue.
func (s *Served) begin(number uint32, peer []byte) []byte {
	p, err := readPeer(peer)
	if err != nil {
		return s.failed(err)
	}
	d, err := s.codec.Begin(p)
	if err != nil {
		return s.failed(fmt.Errorf("%w: %w", err, codec.ErrRefused))
	}
	s.dialogues[number] = d
	return nil
}

// end forgets a dialogue.
func (s *Served) end(number uint32) { delete(s.dialogues, number) }

func (s *Served) receive(number uint32, at int64, frame []byte) []byte {
	return s.step(func() error {
		return s.dialogues[number].Receive(codec.Frame{Bytes: frame, At: time.Unix(0, at).UTC()}, &s.out)
	})
}

func (s *Served) tick(number uint32, at int64) []byte {
	t, ok := s.dialogues[number].(codec.Ticker)
	if !ok {
		return nil
	}
	return s.step(func() error { return t.Tick(time.Unix(0, at).UTC(), &s.out) })
}

func (s *Served) command(number uint32, records []byte) []byte {
	c, ok := s.dialogues[number].(codec.Commander)
	if !ok {
		return s.append(tagError, string([]byte{kindUnsupported}))
	}
	return s.step(func() error { return c.Command(readCommand(records), &s.out) })
}

func (s *Served) resume(number uint32, device []byte) []byte {
	r, ok := s.dialogues[number].(codec.Resumer)
	if !ok {
		return s.append(tagError, string([]byte{kindUnsupported}))
	}
	return s.step(func() error { return r.Resume(string(device)) })
}

func (s *Served) split(number uint32, data []byte, atEOF bool) []byte {
	f, ok := s.dialogues[number].(codec.Framer)
	if !ok {
		return s.append(tagError, string([]byte{kindUnsupported}))
	}
	var advance int
	var frame []byte
	err := guarded(func() (err error) {
		advance, frame, err = f.Split(data, atEOF)
		return err
	})
	if err != nil {
		return s.failed(err)
	}
	return s.cut(data, advance, frame)
}

// step calls the codec and writes down what comes of it.
func (s *Served) step(call func() error) []byte {
	s.out.Reset()
	err := guarded(call)
	s.result = appendOutcome(s.result, &s.out)
	if err != nil {
		s.result = appendError(s.result, err)
	}
	return s.result
}

func (s *Served) failed(err error) []byte {
	s.result = appendError(s.result, err)
	return s.result
}

func (s *Served) append(t byte, text string) []byte {
	s.result = appendRecord(s.result, t, text)
	return s.result
}

// guarded turns a panic into an error, so that it costs one dialogue of the instance.
func guarded(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v: %w", v, codec.ErrBroken)
		}
	}()
	return call()
}

// cases writes down the examples.
func (s *Served) cases() []byte {
	if s.examples == nil {
		return nil
	}
	paths, err := fs.Glob(s.examples, "*/*.txtar")
	if err != nil {
		return nil // the pattern is a good one
	}
	flat, err := fs.Glob(s.examples, "*.txtar")
	if err != nil {
		return nil
	}
	for _, name := range append(flat, paths...) {
		text, err := fs.ReadFile(s.examples, name)
		if err != nil {
			continue // it was there a moment ago, in memory
		}
		name = strings.TrimSuffix(path.Base(name), ".txtar")
		s.append(tagExample, string([]byte{byte(len(name))})+name+string(text))
	}
	return s.result
}
