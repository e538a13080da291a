package codectest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// sound is a codec that does everything a dialogue can do, rightly.
type sound struct{ waiting string }

func newSound(json.RawMessage) (codec.Codec, error) {
	return beginner(func() any { return &sound{} }), nil
}

// beginner makes codecs of functions that make dialogues.
type beginner func() any

func (b beginner) Begin(codec.Peer) (codec.Dialogue, error) { return b().(codec.Dialogue), nil }

func (*sound) Split(data []byte, _ bool) (int, []byte, error) {
	i := bytes.IndexByte(data, ';')
	if i < 0 {
		return 0, nil, nil
	}
	return i + 1, data[:i:i], nil
}

func (s *sound) Receive(f codec.Frame, out *codec.Outcome) error {
	switch text := string(f.Bytes); {
	case strings.HasPrefix(text, "i am "):
		out.Identity = codec.Identity{Device: text[5:], Secret: "s", Accept: []byte("hi"), Refuse: []byte{0}}
	case text == "" || text == "?":
		return codec.ErrMalformed
	case text == "bye":
		out.Close = "the device said so"
	case s.waiting != "" && text == "done":
		out.Results = append(out.Results, codec.Result{Correlation: s.waiting, Payload: json.RawMessage(`{"ok": true}`)})
		s.waiting = ""
	default:
		m := out.Add()
		m.Body, m.ContentType, m.Time = f.Bytes, "text/plain", f.At
		m.Set("kind", "text")
		out.Ack, out.Nak = []byte{6}, []byte{0x15}
	}
	return nil
}

func (s *sound) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "do" {
		return codec.ErrUnknownCommand
	}
	if s.waiting != "" {
		return codec.ErrBusy
	}
	s.waiting = c.Correlation
	out.Reply = append(append([]byte(nil), "do "...), c.Payload...)
	return nil
}

func (*sound) Tick(now time.Time, out *codec.Outcome) error {
	out.Reply = []byte("it is " + now.Format(time.TimeOnly))
	return nil
}

func (*sound) Explain(f []byte) []codec.Field { return []codec.Field{{Len: len(f), Name: "text"}} }

func TestSoundCodecPasses(t *testing.T) { Run(t, newSound, "testdata") }

func TestSoundCodecReplays(t *testing.T) { Replay(t, newSound, "testdata") }

func FuzzSoundCodec(f *testing.F) { Fuzz(f, newSound, "testdata") }

func TestUpdateWritesWhatTheCodecDoes(t *testing.T) {
	dir := t.TempDir()
	full, err := os.ReadFile(filepath.Join("testdata", "everything.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var bare []string
	for line := range strings.Lines(string(full)) {
		if word, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"@", "<", "=", "<<", "<!", "result", "close", "!"}, word) {
			bare = append(bare, line)
		}
	}
	path := filepath.Join(dir, "case.txtar")
	s, err := parse(path, strings.Join(bare, ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newSound(nil)
	got, _, err := s.play(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.update(got); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil || string(written) != string(full) {
		t.Errorf("%v, got:\n%s", err, written)
	}
}

// keeper keeps a frame that it had to copy.
type keeper struct{ last []byte }

func (k *keeper) Receive(f codec.Frame, out *codec.Outcome) error {
	m := out.Add()
	m.Body = append([]byte(nil), k.last...)
	k.last = f.Bytes
	return nil
}

// chancy says something else on each link.
type chancy struct{ n *int }

func (c chancy) Receive(_ codec.Frame, out *codec.Outcome) error {
	*c.n++
	out.Reply = []byte{byte(*c.n)}
	return nil
}

// greedy takes whatever chunk it gets for a frame.
type greedy struct{}

func (*greedy) Split(data []byte, _ bool) (int, []byte, error) { return len(data), data, nil }

func (*greedy) Receive(f codec.Frame, out *codec.Outcome) error {
	out.Reply = bytes.ToUpper(f.Bytes)
	return nil
}

func TestFaultsOfCodecsAreFoundOut(t *testing.T) {
	n := 0
	cases := map[string]struct {
		dialogue func() any
		check    func(*script, *testing.T, codec.Codec, [][]string)
		text     string
	}{
		"a kept frame": {func() any { return &keeper{} }, (*script).same,
			"-- transport --\nudp\n-- dialogue --\n> 01\n> 02\n"},
		"another outcome each time": {func() any { return chancy{&n} }, (*script).same,
			"-- transport --\nudp\n-- dialogue --\n> 01\n"},
		"frames that depend on the pieces": {func() any { return &greedy{} }, (*script).rechunk,
			"-- dialogue --\n> 6162\n"},
	}
	for name, c := range cases {
		s, err := parse(name, c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := s.play(beginner(c.dialogue), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !fails(func(t *testing.T) { t.Helper(); c.check(s, t, beginner(c.dialogue), got) }) {
			t.Errorf("%s was not found out", name)
		}
	}
}

// fails runs a check on a test of its own, whose failure is wanted.
func fails(check func(*testing.T)) bool {
	var probe testing.T
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		check(&probe)
	}()
	<-done
	return probe.Failed()
}

func TestContractBreachesAreShownInTheLines(t *testing.T) {
	for name, m := range map[string]codec.Message{
		"JSON that is none":        {Body: []byte("{"), ContentType: "application/json", ContentEncoding: "utf-8"},
		"JSON without an encoding": {Body: []byte("{}"), ContentType: "application/json"},
		"JSON that is not UTF-8":   {Body: []byte("\"\xff\""), ContentType: "application/json", ContentEncoding: "utf-8"},
		"a property set twice":     {Properties: []codec.Property{{Name: "a"}, {Name: "A"}}},
	} {
		if line := message(&m); strings.HasPrefix(line, "{") {
			t.Errorf("%s passes as %s", name, line)
		}
	}
}

func TestExpectationsMatchInMeaning(t *testing.T) {
	for _, c := range []struct {
		want, got string
		match     bool
	}{
		{`= {"a":1,"b":[2]}`, `= {"b": [2], "a": 1}`, true},
		{`= {"a":1}`, `= {"a":1.0}`, false},
		{`= {"a":1}`, `= {"a":1,"b":2}`, false},
		{`< "OK"`, `< 4f 4b`, true},
		{`< "OK"`, `<< "OK"`, false},
		{`! crc`, `! malformed bad crc: malformed frame`, true},
		{`! malformed crc`, `! malformed bad crc: malformed frame`, true},
		{`! protocol`, `! malformed bad crc: malformed frame`, false},
		{`close bye`, `close bye`, true},
	} {
		if got := matches(c.want, c.got); got != c.match {
			t.Errorf("%s and %s: got %v", c.want, c.got, got)
		}
	}
}

func TestFaultsOfCaseFilesAreErrors(t *testing.T) {
	for _, text := range []string{
		"", "-- dialogue --\n", "-- dialogue --\n< 01\n", "-- dialogue --\n> 0\n", "-- dialogue --\n> \"x\n",
		"-- dialogue --\nsend 01\n", "-- dialogue --\ncommand {\n", "-- dialogue --\ntick soon\n",
		"-- transport --\nsctp\n-- dialogue --\n> 01\n", "-- replies --\n", "-- allocs --\nmany\n",
	} {
		if _, err := parse("case", text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
