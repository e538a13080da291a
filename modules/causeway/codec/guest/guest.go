package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
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
	input     []byte
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

// alloc makes room for what the gateway hands in. It always uses the last one, from
// its beginning.
func (s *Served) alloc(size uint32) *byte {
	s.input = make([]byte, max(size, 1))
	return &s.input[0]
}

// open begins a result: its length comes first.
func (s *Served) open() {
	s.result = append(s.result[:0], make([]byte, headSize)...)
}

// block is the result as the gateway finds it; nil where there is nothing.
func (s *Served) block() *byte {
	n := len(s.result) - headSize
	if n == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(s.result, uint32(n))
	return &s.result[0]
}

// configure makes the codec. It and those that follow append records to the result.
func (s *Served) configure(options []byte) {
	c, err := s.factory(json.RawMessage(options))
	if err != nil {
		s.failed(err)
		return
	}
	s.codec = c
	if d, err := c.Begin(codec.Peer{Transport: "tcp"}); err == nil {
		_, s.splits = d.(codec.Framer)
	}
}

// begin begins a dialogue.
func (s *Served) begin(number uint32, peer []byte) {
	err := guarded(func() error {
		p, err := readPeer(peer)
		if err != nil {
			return err
		}
		d, err := s.codec.Begin(p)
		if err != nil {
			return fmt.Errorf("%w: %w", err, codec.ErrRefused)
		}
		s.dialogues[number] = d
		return nil
	})
	if err != nil {
		s.failed(err)
	}
}

// end forgets a dialogue.
func (s *Served) end(number uint32) { delete(s.dialogues, number) }

func (s *Served) receive(number uint32, at int64, frame []byte) {
	s.step(func() error {
		return s.dialogues[number].Receive(codec.Frame{Bytes: frame, At: time.Unix(0, at).UTC()}, &s.out)
	})
}

func (s *Served) tick(number uint32, at int64) {
	if t, ok := s.dialogues[number].(codec.Ticker); ok {
		s.step(func() error { return t.Tick(time.Unix(0, at).UTC(), &s.out) })
	}
}

func (s *Served) command(number uint32, records []byte) {
	c, ok := s.dialogues[number].(codec.Commander)
	if !ok {
		s.failed(errors.ErrUnsupported)
		return
	}
	s.step(func() error { return c.Command(readCommand(records), &s.out) })
}

func (s *Served) resume(number uint32, device []byte) {
	r, ok := s.dialogues[number].(codec.Resumer)
	if !ok {
		s.failed(errors.ErrUnsupported)
		return
	}
	s.step(func() error { return r.Resume(string(device)) })
}

func (s *Served) split(number uint32, data []byte, atEOF bool) {
	var advance int
	var frame []byte
	err := guarded(func() error {
		f, ok := s.dialogues[number].(codec.Framer)
		if !ok {
			return errors.ErrUnsupported
		}
		var err error
		advance, frame, err = f.Split(data, atEOF)
		return err
	})
	if err == nil {
		s.result, err = appendCut(s.result, data, advance, frame)
	}
	if err != nil {
		s.failed(err)
	}
}

// step calls the codec and writes down what comes of it.
func (s *Served) step(call func() error) {
	s.out.Reset()
	err := guarded(call)
	s.result = appendOutcome(s.result, &s.out)
	if err != nil {
		s.failed(err)
	}
}

func (s *Served) failed(err error) { s.result = appendError(s.result, err) }

// guarded turns a panic into an error, so that it costs one dialogue of the instance.
func guarded(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v: %w", v, codec.ErrBroken)
		}
	}()
	return call()
}

// cases writes down the examples: the files *.txtar, in folders as well.
func (s *Served) cases() {
	if s.examples == nil {
		return
	}
	err := fs.WalkDir(s.examples, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".txtar" {
			return err
		}
		text, err := fs.ReadFile(s.examples, name)
		name = strings.TrimSuffix(path.Base(name), ".txtar")
		s.result = appendRecord(s.result, tagExample, string([]byte{byte(len(name))})+name+string(text))
		return err
	})
	if err != nil {
		s.failed(err)
	}
}
