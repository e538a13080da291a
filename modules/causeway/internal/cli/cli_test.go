package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// semicolons is a codec with everything: frames end with ;, a login, a command.
type semicolons struct{ device string }

func (semicolons) Begin(codec.Peer) (codec.Dialogue, error) { return &semicolons{}, nil }

func (*semicolons) Split(data []byte, _ bool) (int, []byte, error) {
	i := bytes.IndexByte(data, ';')
	if i < 0 {
		return 0, nil, nil
	}
	return i + 1, data[:i:i], nil
}

func (s *semicolons) Receive(f codec.Frame, out *codec.Outcome) error {
	switch id, login := strings.CutPrefix(string(f.Bytes), "i am "); {
	case login:
		s.device, out.Identity.Device = id, id
	case s.device == "":
		return codec.ErrProtocol
	case string(f.Bytes) == "?":
		return codec.ErrMalformed
	case string(f.Bytes) == "panic":
		_ = f.Bytes[len(f.Bytes)]
	default:
		out.Add().Body = f.Bytes
		out.Ack = []byte("ok")
	}
	return nil
}

func (s *semicolons) Resume(device string) error {
	s.device = device
	return nil
}

func (s *semicolons) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "do" {
		return codec.ErrUnknownCommand
	}
	out.Reply = append([]byte(s.device+" do "), c.Payload...)
	return nil
}

func (*semicolons) Explain(f []byte) []codec.Field {
	if len(f) < 2 {
		return nil
	}
	return []codec.Field{{Offset: 1, Len: 1, Name: "second", Value: "\x1b[31mred"}}
}

// silly takes any frame; it has options.
func silly(raw json.RawMessage) (codec.Codec, error) {
	var o struct {
		Loud bool `json:"loud"`
	}
	if err := codec.DecodeOptions(raw, &o); err != nil {
		return nil, err
	}
	return codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		m := out.Add()
		if m.Body = f.Bytes; o.Loud {
			m.Body = bytes.ToUpper(f.Bytes)
		}
		return nil
	}), nil
}

// shelf is a loader with one plugin.
type shelf struct{ closed *int }

func (s shelf) Load(_ context.Context, spec string) (*Plugin, error) {
	if spec != "./acme.yaml" {
		return nil, errors.New("line 3: what is this?")
	}
	return &Plugin{
		New:      silly,
		Examples: []Example{{"first", "-- transport --\nudp\n-- dialogue --\n> \"a\"\n= {\"text\":\"a\"}\n"}},
		Close:    func() error { *s.closed++; return nil },
	}, nil
}

// reversed is a transformation: frames come to the codec backwards.
func reversed(stages json.RawMessage, inner codec.Codec) (codec.Codec, error) {
	if string(stages) != "{}" {
		return nil, codec.Optionf("/frames", "is wrong")
	}
	d, err := inner.Begin(codec.Peer{})
	return codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		slices.Reverse(f.Bytes)
		return d.Receive(f, out)
	}), err
}

// ran is the end of a command.
type ran struct {
	code        int
	out, errors string
}

func invoke(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	r := &codec.Registry{}
	for name, f := range map[string]codec.Factory{
		"semicolons": func(json.RawMessage) (codec.Codec, error) { return semicolons{}, nil }, "silly": silly,
	} {
		if err := r.Add(name, f); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	closed := 0
	code := Run(t.Context(), args, Options{
		Registry: r, Loader: shelf{&closed}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Transform: reversed,
	})
	if strings.Contains(strings.Join(args, " "), "-codec ./acme.yaml") && closed != 1 && code != ExitUsage {
		t.Errorf("%q: the plugin was closed %d times", args, closed)
	}
	return ran{code, out.String(), errs.String()}
}

func TestCommandsAnswerAndExitAsScriptsExpect(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := put("good.txtar", "-- dialogue --\n> \"i am d;\"\n@ {\"device\":\"d\"}\n> \"x;\"\n= {\"text\":\"x\"}\n<< \"ok\"\n")
	bad := put("bad.txtar", "-- options.json --\n{\"loud\": true}\n-- frame --\n{\"type\":\"line\"}\n-- dialogue --\n> \"a\\n\"\n= {\"text\":\"a\"}\n")
	capture := put("capture", "# seen today\n> \"i am d;\"\n> 78\n< 00\n> 3b\n")
	hexes := put("hexes", "69 20 61 6d 20 64 3b\n\n0x78,0x3b\n")
	none := put("empty", "")
	cases := []struct {
		args  string // split at |
		stdin string
		code  int
		out   string
		err   string
	}{
		{"decode|-codec|silly|6869", "", 0, `{"frame":1,"kind":"message","text":"hi"}` + "\n", ""},
		{"decode|6869|-codec|silly|-options|{\"loud\":true}", "", 0, `"text":"HI"`, ""},
		{"decode|-codec|silly|\"hi\"|aGV5Pw==", "", 0, `"hi"}` + "\n" + `{"frame":2,"kind":"message","text":"hey?"}`, ""},
		{"decode|-codec|silly|-format|text|hi there", "", 0, `"hi there"`, ""},
		{"decode|-codec|silly|-format|base64|6869", "", 0, `"hex":"ebcebd"`, ""},
		{"decode|-codec|silly|-format|capture|> 6869", "", 0, `"hi"`, ""},
		{"decode|-codec|silly|-transform|{}|\"hi\"", "", 0, `"ih"`, ""},
		{"decode|-codec|silly|-transform|[]|00", "", 2, "", "-transform: /frames"},
		{"decode|-codec|silly", "one\ntwo\n", 0, `"one"}` + "\n" + `{"frame":2,"kind":"message","text":"two"}`, ""},
		{"decode|-codec|silly|-frame|{\"type\":\"delimiter\",\"text\":\"w\"}", "onetwo", 1, `"onet"}`, ""},
		{"decode|-codec|./acme.yaml|-transport|udp|6869", "", 0, `"hi"`, ""},
		{"decode|-codec|semicolons|@" + good, "", 0, `{"frame":2,"kind":"ack","hex":"6f6b","text":"ok"}`, ""},
		{"decode|-codec|semicolons|@" + capture, "", 0, `"text":"x"`, ""},
		{"decode|-codec|semicolons|@" + hexes, "", 0, `"text":"x"`, ""},
		{"decode|-codec|semicolons|-device|d|\"x;\"", "", 0, `"text":"x"`, ""},
		{"decode|-codec|semicolons|-dialogue|\"i am d;x;\"", "", 0, "> \"i am d;x;\"\n@ {\"device\":\"d\"}\n= {\"text\":\"x\"}\n<< \"ok\"\n", ""},
		{"decode|-codec|semicolons|-dialogue|\"x;\"", "", 1, "! protocol", ""},
		{"decode|-codec|semicolons|\"x;\"", "", 1, `"error":"protocol"`, ""},
		{"decode|-codec|semicolons|\"i am d;?;x\"", "", 1, `"reason":"1 bytes left`, ""},
		{"decode|-codec|semicolons|-device|d|\"panic;\"", "", 1, "", "panic: runtime error"},
		{"decode|-codec|silly|@" + dir + "/missing", "", 1, "", "no such file"},
		{"decode|-codec|silly|@" + hexes + "|-format|base64", "", 1, "", "line 1"},
		{"decode|-codec|./other.yaml|00", "", 1, "", "load ./other.yaml: line 3"},
		{"decode|-codec|silly|-device|d|00", "", 2, "", "/device"},
		{"decode|-codec|silly|-transport|sctp|00", "", 2, "", "sctp"},
		{"decode|-codec|silly|-frame|{}|00", "", 2, "", "/frame/type"},
		{"decode|-codec|silly|-options|{\"x\":1}|00", "", 2, "", "-options: /x: unknown field"},
		{"decode|-codec|silly|xyz", "", 2, "", "neither hexadecimal"},
		{"decode|-codec|silly|-format|xml|00", "", 2, "", "-format"},
		{"decode|-codec|silly|@" + none, "", 2, "", "the input is empty"},
		{"decode|-codec|silly|00|@" + good, "", 2, "", "goes alone"},
		{"decode|00", "", 2, "", "-codec is missing, built in are [semicolons silly]"},
		{"decode|-frobnicate|00", "", 2, "", "frobnicate"},
		{"decode|-h", "", 0, "", "usage: causeway decode"},

		{"encode|-codec|semicolons|-command|do|-payload|[1]|-device|d", "", 0, `{"kind":"reply","hex":"6420646f205b315d","text":"d do [1]"}`, ""},
		{"encode|-codec|semicolons|-command|do|-raw|\"i am e;\"", "", 0, "e do ", ""},
		{"encode|-codec|semicolons|-command|do|-frame|{\"type\":\"line\"}|-raw", "", 0, " do \n", ""},
		{"encode|-codec|semicolons|-command|fly", "", 1, "", "unknown command"},
		{"encode|-codec|semicolons|-command|do|\"x;\"", "", 1, "", "the link has ended"},
		{"encode|-codec|silly|-command|do", "", 1, "", "no commands"},
		{"encode|-codec|semicolons|-command|do|-payload|{", "", 2, "", "not JSON"},
		{"encode|-codec|semicolons", "", 2, "", "-command is missing"},

		{"frame|-frame|{\"type\":\"length\",\"size\":1}|0141 0242 43", "", 0, `{"frame":2,"bytes":2,"hex":"4243","text":"BC"}`, ""},
		{"frame|-codec|semicolons|\"a;b;\"", "", 0, `{"frame":2,"bytes":1,"hex":"62","text":"b"}`, ""},
		{"frame|-frame|{\"type\":\"line\"}|-wrap|\"a\"", "", 0, `{"bytes":2,"hex":"610a","text":"a\n"}`, ""},
		{"frame|-frame|{\"type\":\"line\"}|-wrap|\"a\\nb\"", "", 1, "", "payload does not fit"},
		{"frame|-frame|{\"type\":\"length\",\"size\":1}|0241", "", 1, `"error":"2 bytes left`, ""},
		{"frame|-codec|silly|00", "", 2, "", "does not cut a stream"},
		{"frame|00", "", 2, "", "-frame is missing"},
		{"frame|-frame|{}|00", "", 2, "", "/frame/type"},

		{"explain|-codec|semicolons|\"i am d;\"", "", 0, "    1  20                       second  .[31mred\n", ""},
		{"explain|-codec|semicolons|-json|\"ab;\"", "", 0, `{"frame":1,"offset":0,"bytes":1,"hex":"61"}` + "\n" + `{"frame":1,"offset":1,"bytes":1,"hex":"62","name":"second"`, ""},
		{"explain|-codec|semicolons|\"a;\"", "", 1, "frame 1", ""},
		{"explain|-codec|silly|00", "", 1, "", "names no parts"},

		{"identify|\"i am d;x;\"", "", 0, `"codec":"semicolons"`, ""},
		{"identify|ff00", "", 1, `"codec":"raw"`, ""},

		{"codec|list", "", 0, "{\"codec\":\"semicolons\"}\n{\"codec\":\"silly\"}\n", ""},
		{"codec|test|-codec|semicolons|" + good, "", 0, `{"cases":1,"failed":0}`, ""},
		{"codec|test|-codec|./acme.yaml", "", 0, `{"case":"first","ok":true,"steps":1}`, ""},
		{"codec|test|-codec|silly|" + bad, "", 1, `"failures":[{"step":"> \"a\\n\"","got":["= {\"text\":\"A\"}"],"want":["= {\"text\":\"a\"}"]}]`, "bad.txtar: after"},
		{"codec|test|-codec|silly|" + dir, "", 1, `{"cases":2,"failed":2}`, "good.txtar"},
		{"codec|test|-codec|silly|" + dir + "/nope", "", 2, "", "no case file"},
		{"codec|test|-codec|silly|" + capture, "", 1, "", "no dialogue"},
		{"codec|test|-codec|silly", "", 2, "", "carries no examples"},
		{"codec|bench|-codec|semicolons|-seconds|0.01|@" + good, "", 0, `{"codec":"semicolons","frames":1,"decoded":`, ""},
		{"codec|bench|-codec|semicolons|\"?;\"|-device|d", "", 1, "", "again and again"},
		{"codec|bench|-codec|semicolons|\"x;\"|-seconds|0", "", 2, "", "-seconds"},
		{"codec|fly", "", 2, "", "known are list, test, bench, new"},
		{"codec", "", 2, "", "known are"},
		{"codec|new|cobol|acme", "", 2, "", "known are"},
		{"codec|new|go|Acme", "", 2, "", "name"},
		{"codec|new|go", "", 2, "", "want a kind"},
		{"fly", "", 2, "", "causeway codec new"},
		{"help", "", 0, "causeway codec new", ""},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			got := invoke(t, c.stdin, strings.Split(c.args, "|")...)
			if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.errors, c.err) {
				t.Errorf("got %+v,\nwant %d, %q, %q", got, c.code, c.out, c.err)
			}
			if c.code == ExitUsage && got.out != "" {
				t.Errorf("a fault of usage prints %q", got.out)
			}
		})
	}
}

func TestUpdateMakesACaseThatPasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.txtar")
	if err := os.WriteFile(path, []byte("-- dialogue --\n> \"i am d;x;\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, "", "codec", "test", "-codec", "semicolons", path); got.code != ExitFailed {
		t.Errorf("without expectations: %+v", got)
	}
	if got := invoke(t, "", "codec", "test", "-codec", "semicolons", "-update", path); got.code != ExitOK ||
		!strings.Contains(got.out, `"updated":true`) {
		t.Errorf("with -update: %+v", got)
	}
	if got := invoke(t, "", "codec", "test", "-codec", "semicolons", path); got.code != ExitOK {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestWithoutALoaderAFileIsAnUnknownCodec(t *testing.T) {
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"decode", "-codec", "./acme.js", "00"}, Options{
		Registry: &codec.Registry{}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	if code != ExitUsage || !strings.Contains(errs.String(), `unknown codec "./acme.js"`) {
		t.Errorf("got %d, %s", code, &errs)
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	for _, color := range []bool{true, false} {
		var out bytes.Buffer
		r := &codec.Registry{}
		if err := r.Add("s", func(json.RawMessage) (codec.Codec, error) { return semicolons{}, nil }); err != nil {
			t.Fatal(err)
		}
		Run(t.Context(), []string{"explain", "-codec", "s", `"ab;"`}, Options{
			Registry: r, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Color: color,
		})
		if got := strings.Contains(out.String(), "\x1b["); got != color {
			t.Errorf("colour %v: %q", color, &out)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if Terminal(file) {
		t.Error("a file is a terminal")
	}
}

func FuzzInputsAreReadWithoutPanic(f *testing.F) {
	for _, seed := range []string{"6869", "\"x\"", "> 00\n", "-- dialogue --\n> 00\n", "aGk="} {
		f.Add(seed, "auto")
	}
	f.Add("x", "capture")
	f.Fuzz(func(t *testing.T, text, format string) {
		c := &call{opts: Options{Stdin: strings.NewReader(text)}}
		in, err := c.inputs(format)
		if err == nil && len(in.steps) == 0 {
			t.Error("an input without steps")
		}
	})
}
