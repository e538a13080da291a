package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// toy is a codec of text lines that has one word for everything a codec can do.
type toy struct {
	splitter func(data []byte, atEOF bool) (int, []byte, error)
}

func (c toy) Begin(p codec.Peer) (codec.Dialogue, error) {
	switch p.Remote.Port() {
	case 1:
		return nil, errors.New("not from this port")
	case 2:
		panic("at the very beginning")
	}
	d := &toyDialogue{}
	if c.splitter != nil {
		return framedToy{d, c.splitter}, nil
	}
	return d, nil
}

type toyDialogue struct{ ticks int }

// framedToy cuts its stream itself.
type framedToy struct {
	*toyDialogue
	splitter func(data []byte, atEOF bool) (int, []byte, error)
}

func (d framedToy) Split(data []byte, atEOF bool) (int, []byte, error) {
	return d.splitter(data, atEOF)
}

func (d *toyDialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	words := strings.Fields(string(f.Bytes))
	if len(words) == 0 {
		return nil
	}
	rest := words[1:]
	switch words[0] {
	case "login":
		out.Identity = codec.Identity{Device: rest[0], Accept: []byte("welcome\n"), Refuse: []byte("refused\n")}
		if len(rest) > 1 {
			out.Identity.Secret = rest[1]
		}
	case "hello":
		out.Reply = []byte("hello yourself\n")
	case "data", "bye":
		add(out, "", rest)
		out.Ack, out.Nak = []byte("ack "+rest[0]+"\n"), []byte("nak "+rest[0]+"\n")
		if words[0] == "bye" {
			out.Close = "bye"
		}
	case "silent": // no word for a refusal
		add(out, "", rest)
		out.Ack = []byte("ack " + rest[0] + "\n")
	case "note":
		add(out, "", rest)
	case "from":
		add(out, rest[0], rest[1:])
	case "ping":
		out.Ack = []byte("pong\n")
	case "answer":
		out.Results = append(out.Results, codec.Result{Correlation: rest[0], Payload: json.RawMessage(`"` + rest[1] + `"`)})
	case "refuse":
		out.Results = append(out.Results, codec.Result{Correlation: rest[0], Err: errors.New("the device will not")})
	case "give-up":
		out.Results = append(out.Results, codec.Result{Correlation: rest[0], Err: fmt.Errorf("toy: %w", codec.ErrNoAnswer)})
	default:
		return d.misbehave(words[0], out)
	}
	return nil
}

func (d *toyDialogue) misbehave(word string, out *codec.Outcome) error {
	switch word {
	case "evil":
		out.Reply = []byte("enough\n")
		return fmt.Errorf("toy: %w", codec.ErrProtocol)
	case "panic":
		out.Identity.Device = "half done"
		panic("toy is broken")
	default:
		add(out, "", []string{"never sent"})
		out.Reply, out.Ack = []byte("what?\n"), []byte("never written\n")
		return fmt.Errorf("toy: unknown word: %w", codec.ErrMalformed)
	}
}

func add(out *codec.Outcome, device string, bodies []string) {
	for _, body := range bodies {
		m := out.Add()
		m.Body, m.Device = []byte(body), device
	}
}

// SplitBody cuts after each plus.
func (d *toyDialogue) SplitBody(m *codec.Message, _ int) (parts [][]byte) {
	if strings.HasPrefix(string(m.Body), "!") {
		panic("toy cannot cut")
	}
	for part := range strings.SplitAfterSeq(string(m.Body), "+") {
		parts = append(parts, []byte(part))
	}
	return parts
}

func (d *toyDialogue) Command(c codec.Command, out *codec.Outcome) error {
	switch c.Name {
	case "ask":
		out.Reply = []byte("asked " + c.Correlation + " " + string(c.Payload) + "\n")
	case "tell", "leave":
		out.Reply = []byte("told\n")
		out.Results = append(out.Results, codec.Result{Correlation: c.Correlation, Payload: json.RawMessage("true")})
		if c.Name == "leave" {
			out.Close = "told to leave"
		}
	case "refuse":
		out.Results = append(out.Results, codec.Result{Correlation: c.Correlation, Err: errors.New("the device has none")})
	case "busy":
		return codec.ErrBusy
	case "panic":
		panic("toy is broken")
	default:
		return fmt.Errorf("%w %q", codec.ErrUnknownCommand, c.Name)
	}
	return nil
}

func (d *toyDialogue) Tick(_ time.Time, out *codec.Outcome) error {
	if d.ticks++; d.ticks == 3 {
		out.Reply = []byte("still there?\n")
		add(out, "", []string{"ticked"})
	}
	return nil
}
