package transform

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	keyHex = "000102030405060708090a0b0c0d0e0f"
	// nonceHex begins every frame that is sealed by hand.
	nonceHex = "cafebabefacedbaddecaf888"
)

// memberOf is an expression that a test understands: a member of the body.
type memberOf string

func (p memberOf) Value(m *codec.Message, body any) (any, error) {
	switch {
	case p == "device":
		return m.Device, nil
	case p == "bad":
		return nil, errors.New("went wrong")
	case p == "func":
		return func() {}, nil
	}
	object, ok := body.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("body is %T", body)
	}
	return object[string(p)], nil
}

// around is what the chains of the tests take from outside.
func around() Surroundings {
	return Surroundings{
		Environment: func(name string) (string, bool) {
			text, ok := map[string]string{"KEY": keyHex + "\n", "B64": "AAECAwQFBgcICQoLDA0ODw==", "SHORT": "00"}[name]
			return text, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/raw.key" {
				return []byte("0123456789abcdef"), nil
			}
			if path == "/empty.avsc" {
				return nil, nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
		Expression: func(text string) (Expression, error) {
			if strings.Contains(text, "(") {
				return nil, errors.New("unclosed, at column 1")
			}
			return memberOf(text), nil
		},
	}
}

func chain(tb testing.TB, setting string) *Chain {
	tb.Helper()
	c, err := Parse(json.RawMessage(setting), around())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// parrot says each frame as a message and answers with it, in every way there is.
type parrot struct{ contentType string }

func (p parrot) Begin(codec.Peer) (codec.Dialogue, error) { return p, nil }

func (p parrot) Receive(f codec.Frame, out *codec.Outcome) error {
	switch string(f.Bytes) {
	case "bad":
		out.Reply = []byte("no")
		return codec.ErrMalformed
	case "broken":
		return codec.ErrBroken
	}
	m := out.Add()
	m.Body, m.ContentType, m.Device = f.Bytes, p.contentType, "d1"
	out.Identity = codec.Identity{Device: "d1", Accept: []byte("in"), Refuse: []byte("out")}
	out.Reply, out.Ack, out.Nak = []byte("reply"), []byte("ack"), []byte("nak")
	return nil
}

// gifted has every add-on.
type gifted struct {
	parrot
	resumed string
	closed  bool
}

func (g *gifted) Begin(codec.Peer) (codec.Dialogue, error) { return g, nil }

func (*gifted) Split(data []byte, _ bool) (int, []byte, error) { return len(data), data, nil }

func (*gifted) Command(c codec.Command, out *codec.Outcome) error {
	out.Reply = []byte(c.Name)
	return nil
}

func (*gifted) Tick(_ time.Time, out *codec.Outcome) error {
	out.Reply = []byte("tick")
	return nil
}

func (*gifted) Explain([]byte) []codec.Field { return []codec.Field{{Name: "all"}} }

func (g *gifted) Resume(device string) error {
	g.resumed = device
	return nil
}

func (g *gifted) Close() error {
	g.closed = true
	return nil
}

func (*gifted) SplitBody(*codec.Message, int) [][]byte { return [][]byte{{1}, {2}} }

// begin wraps a codec and begins a link.
func begin(tb testing.TB, setting string, inner codec.Codec) codec.Dialogue {
	tb.Helper()
	d, err := chain(tb, setting).Wrap(inner).Begin(codec.Peer{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func quoted(text string) string {
	b, _ := json.Marshal(text) //nolint:errchkjson // text is JSON
	return string(b)
}

func validJSON(b []byte) bool { return json.Valid(b) }
