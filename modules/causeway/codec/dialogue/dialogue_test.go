package dialogue

import (
	"bytes"
	"encoding/json"
	"errors"
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

func TestUpdateWritesWhatTheCodecDoes(t *testing.T) {
	dir := t.TempDir()
	full, err := os.ReadFile(filepath.Join("..", "codectest", "testdata", "everything.txtar"))
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
	s, err := Parse(path, strings.Join(bare, ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newSound(nil)
	got, _, err := s.Play(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(got); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil || string(written) != string(full) {
		t.Errorf("%v, got:\n%s", err, written)
	}
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
		if got := Matches(c.want, c.got); got != c.match {
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
		if _, err := Parse("case", text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestAPlayedCaseTellsWhatDoesNotComeTrue(t *testing.T) {
	const text = "-- dialogue --\n> \"i am d1;\"\n@ {\"device\":\"d2\"}\n> \"?;\"\n! malformed\n"
	failures, err := Play(newSound, "case", []byte(text))
	if err != nil || len(failures) != 1 || failures[0].Step != `> "i am d1;"` ||
		!strings.Contains(failures[0].String(), `@ {"device":"d2"}`) {
		t.Errorf("got %v, %v", failures, err)
	}
}

// panicking panics in Receive.
type panicking struct{}

func (panicking) Receive(f codec.Frame, _ *codec.Outcome) error {
	_ = f.Bytes[len(f.Bytes)]
	return nil
}

func TestACaseThatCannotBePlayedIsAnError(t *testing.T) {
	broken := func(json.RawMessage) (codec.Codec, error) { return beginner(func() any { return panicking{} }), nil }
	refusing := func(json.RawMessage) (codec.Codec, error) { return nil, codec.Optionf("/x", "is wrong") }
	cases := map[string]struct {
		factory codec.Factory
		text    string
		want    string
	}{
		"no case":     {newSound, "text", "no dialogue"},
		"options":     {refusing, "-- dialogue --\n> 00\n", "options: /x: is wrong"},
		"no framing":  {broken, "-- dialogue --\n> 00\n", "framing has to be given"},
		"bad framing": {broken, "-- frame --\n{}\n-- dialogue --\n> 00\n", "frame: /type"},
		"a panic":     {broken, "-- transport --\nudp\n-- dialogue --\n> 00\n", "dialogue_test.go"},
	}
	for name, c := range cases {
		_, err := Play(c.factory, name, []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if name == "a panic" && !errors.Is(err, codec.ErrBroken) {
			t.Errorf("a panic is %v", err)
		}
	}
}

func TestALinkTellsOutcomesToWhoListens(t *testing.T) {
	c, _ := newSound(nil)
	l, err := Open(c, "tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	frames := 0
	l.Took = func(f []byte, out *codec.Outcome, err error) {
		if f != nil {
			frames++
		}
		entries = append(entries, Entries(frames, out, err)...)
	}
	l.Receive([]byte("i am d1;hello;?;rest"))
	if l.Rest() != 4 || l.Dead() || l.Frames != nil {
		t.Errorf("rest %d, dead %v, frames %q", l.Rest(), l.Dead(), l.Frames)
	}
	l.Command(Command{Correlation: "1", Name: "do"})
	l.Receive([]byte(";done;bye;"))
	l.Command(Command{Name: "fly"})
	got, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"frame":1,"kind":"identity","device":"d1","secret":"s","accept":"6869","refuse":"00"},` +
		`{"frame":2,"kind":"message","contentType":"text/plain","time":"2026-01-01T00:00:00Z",` +
		`"properties":{"kind":"text"},"text":"hello"},` +
		`{"frame":2,"kind":"ack","hex":"06"},{"frame":2,"kind":"nak","hex":"15"},` +
		`{"frame":3,"kind":"error","error":"malformed","reason":"malformed frame"},` +
		`{"frame":3,"kind":"reply","hex":"646f20","text":"do "},` +
		`{"frame":4,"kind":"message","contentType":"text/plain","time":"2026-01-01T00:00:00Z",` +
		`"properties":{"kind":"text"},"text":"rest"},{"frame":4,"kind":"ack","hex":"06"},{"frame":4,"kind":"nak","hex":"15"},` +
		`{"frame":5,"kind":"result","correlation":"1","payload":{"ok":true}},` +
		`{"frame":6,"kind":"close","reason":"the device said so"},` +
		`{"frame":6,"kind":"error","error":"unknown","reason":"unknown command"}]`
	if string(got) != want || !l.Dead() {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A dialogue without add-ons tells so.
type bare struct{}

func (bare) Receive(codec.Frame, *codec.Outcome) error { return nil }

func TestAStepWithoutItsAddOnIsALineThatNoCaseExpects(t *testing.T) {
	l, err := Open(beginner(func() any { return bare{} }), "udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := append(l.Command(Command{}), l.Tick(time.Second)...)
	if !slices.Equal(got, []string{"! the dialogue is no codec.Commander", "! the dialogue is no codec.Ticker"}) {
		t.Errorf("got %q", got)
	}
}

func FuzzCasesAreReadWithoutPanic(f *testing.F) {
	f.Add("-- dialogue --\n> 00\n< 01\ncommand {}\ntick 1s\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("case", text)
		if err == nil && len(s.Steps) == 0 {
			t.Error("a case without steps")
		}
	})
}
