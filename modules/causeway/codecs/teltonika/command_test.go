package teltonika

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// command sends a command that must be taken, and returns its text.
func command(tb testing.TB, d *stream, name, payload string) string {
	tb.Helper()
	out := &codec.Outcome{}
	err := d.Command(codec.Command{Correlation: "c1", Name: name, Payload: json.RawMessage(payload)}, out)
	if err != nil {
		tb.Fatalf("%s %s: %v", name, payload, err)
	}
	frame := out.Reply
	n, cut, err := d.Split(frame, false)
	if err != nil || n != len(frame) || string(cut) != string(frame) {
		tb.Fatalf("command %x is no frame: %d %v", frame, n, err)
	}
	if want := packetOf(frame[8 : len(frame)-4]); string(want) != string(frame) {
		tb.Fatalf("command %x, want %x", frame, want)
	}
	t, rest, err := readText(frame[8], frame[10:len(frame)-5])
	if err != nil || len(rest) != 0 || t.kind != typeCommand {
		tb.Fatalf("command %x: %+v %v", frame, t, err)
	}
	return string(t.data)
}

// answer feeds a device's answer and returns the result that it leads to.
func answer(tb testing.TB, d *stream, data []byte) codec.Result {
	tb.Helper()
	out := receive(tb, d, packetOf(data))
	if len(out.Results) != 1 || len(out.Messages) != 0 || out.Results[0].Correlation != "c1" {
		tb.Fatalf("outcome %+v", out)
	}
	return out.Results[0]
}

func TestACommandIsItsNameAndItsArguments(t *testing.T) {
	for _, c := range []struct{ name, payload, text string }{
		{"getver", "", "getver"},
		{"getver", "null", "getver"},
		{"setparam", `"2001:internet"`, "setparam 2001:internet"},
		{"setdigout", "1", "setdigout 1"},
		{"readio", `[21,"1"]`, "readio 21 1"},
		{"setparam", `{"text":"2001:internet"}`, "setparam 2001:internet"},
		{"setdigout", `{"args":["1?", 60]}`, "setdigout 1? 60"},
		{"web_connect", `[]`, "web_connect"},
	} {
		if text := command(t, loggedIn(t, ""), c.name, c.payload); text != c.text {
			t.Errorf("%s %s: %q, want %q", c.name, c.payload, text, c.text)
		}
	}
}

func TestACommandThatDoesNotFitIsRefusedAndNothingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		want          error
	}{
		{"", "", codec.ErrUnknownCommand},
		{"get\nver", "", codec.ErrUnknownCommand},
		{"gétver", "", codec.ErrUnknownCommand},
		{"setparam", `{"value":1}`, codec.ErrBadCommand},
		{"setparam", `[[1]]`, codec.ErrBadCommand},
		{"setparam", `"a\r\nb"`, codec.ErrBadCommand},
		{"setparam", `"` + strings.Repeat("x", maxText) + `"`, codec.ErrBadCommand},
		{codec.CommandDesired, `"2001"`, codec.ErrBadCommand},
		{codec.CommandDesired, ``, codec.ErrBadCommand},
		{codec.CommandDesired, `null`, codec.ErrBadCommand},
		{codec.CommandDesired, `{"apn":"internet"}`, codec.ErrBadCommand},
		{codec.CommandDesired, `{"02001":"internet"}`, codec.ErrBadCommand},
		{codec.CommandDesired, `{"2001":"a;2002:b"}`, codec.ErrBadCommand},
		{codec.CommandDesired, `{"2001":{"a":1}}`, codec.ErrBadCommand},
		{codec.CommandDesired, `{"2001":null}`, codec.ErrBadCommand},
	} {
		d, out := loggedIn(t, ""), &codec.Outcome{}
		err := d.Command(codec.Command{Correlation: "c1", Name: c.name, Payload: json.RawMessage(c.payload)}, out)
		if !errors.Is(err, c.want) || out.Reply != nil || len(out.Results) != 0 {
			t.Errorf("%q %.40s: %v, want %v; reply %x", c.name, c.payload, err, c.want, out.Reply)
		}
		if command(t, d, "getver", "") != "getver" {
			t.Errorf("%q %.40s: the device is busy after a refusal", c.name, c.payload)
		}
	}
}

func TestTheAnswerIsTheResultOfTheCommand(t *testing.T) {
	d := loggedIn(t, "")
	command(t, d, "getver", "")
	r := answer(t, d, textOf(codec12, typeResponse, []byte("Ver:03.27.07 \"x\"\r\n")))
	if string(r.Payload) != `{"response":"Ver:03.27.07 \"x\"\r\n"}` || r.Err != nil {
		t.Errorf("result %s %v", r.Payload, r.Err)
	}
	out := receive(t, d, packetOf(textOf(codec12, typeResponse, []byte("later"))))
	if len(out.Results) != 0 || len(out.Messages) != 1 || string(out.Messages[0].Body) != `{"text":"later"}` {
		t.Errorf("a text without a command: %+v", out)
	}
}

func TestOneCommandAtATimeIsUnderWay(t *testing.T) {
	d := loggedIn(t, "")
	command(t, d, "getver", "")
	if err := d.Command(codec.Command{Name: "getinfo"}, &codec.Outcome{}); !errors.Is(err, codec.ErrBusy) {
		t.Errorf("%v, want %v", err, codec.ErrBusy)
	}
	answer(t, d, textOf(codec12, typeResponse, []byte("ok")))
	command(t, d, "getinfo", "")
}

func TestRecordsPassByACommandUnderWay(t *testing.T) {
	d := loggedIn(t, "")
	command(t, d, "getver", "")
	if out := receive(t, d, packetOf(dataOf(codec8, point{}))); len(out.Results) != 0 || len(out.Messages) != 1 {
		t.Errorf("outcome %+v", out)
	}
	serial := append([]byte{0, 0, 0, 9}, "from a port"...)
	if out := receive(t, d, packetOf(textOf(codec13, typeResponse, serial))); len(out.Results) != 0 {
		t.Errorf("a serial message ends the command: %+v", out)
	}
	answer(t, d, textOf(codec12, typeResponse, []byte("ok")))
}

func TestACommandWithoutAnAnswerIsGivenUp(t *testing.T) {
	d := loggedIn(t, `{"commandTimeoutSeconds":10}`)
	command(t, d, "getver", "")
	var out codec.Outcome
	for i := range 11 {
		if len(out.Results) != 0 {
			t.Fatalf("given up after %d ticks", i)
		}
		if err := d.Tick(arrival().Add(time.Duration(i)*time.Second), &out); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.Results) != 1 || out.Results[0].Correlation != "c1" || out.Results[0].Err == nil {
		t.Fatalf("outcome %+v", out)
	}
	command(t, d, "getinfo", "")
}

func TestBeforeLoginThereIsNobodyToCommand(t *testing.T) {
	d := begin(t, "", "tcp").(*stream)
	if err := d.Command(codec.Command{Name: "getver"}, &codec.Outcome{}); !errors.Is(err, codec.ErrBusy) {
		t.Errorf("%v, want %v", err, codec.ErrBusy)
	}
}

func TestOverUDPCommandsAreNotSupported(t *testing.T) {
	d := begin(t, "", "udp").(codec.Commander)
	if err := d.Command(codec.Command{Name: "getver"}, &codec.Outcome{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, want %v", err, errors.ErrUnsupported)
	}
}

// addressed puts a packed IMEI before a text.
func addressed(tb testing.TB, imei, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString("0" + imei)
	if err != nil {
		tb.Fatal(err)
	}
	return append(b, text...)
}

func TestCodec14AnswersForItsOwnIMEIOnly(t *testing.T) {
	d := loggedIn(t, `{"commandCodec":14}`)
	command(t, d, "getver", "")
	stranger := textOf(codec14, typeResponse, addressed(t, "352093081452251", "Ver:1"))
	if out := receive(t, d, packetOf(stranger)); len(out.Results) != 0 || out.Messages[0].Device != "352093081452251" {
		t.Errorf("another device's answer: %+v", out)
	}
	r := answer(t, d, textOf(codec14, typeResponse, addressed(t, imei, "Ver:2")))
	if string(r.Payload) != `{"response":"Ver:2"}` {
		t.Errorf("result %s %v", r.Payload, r.Err)
	}
}

func TestACodec14RefusalIsAnError(t *testing.T) {
	d := loggedIn(t, `{"commandCodec":14}`)
	command(t, d, "getver", "")
	if r := answer(t, d, textOf(codec14, typeNack, addressed(t, imei, ""))); r.Err == nil {
		t.Errorf("result %+v", r)
	}
}

func TestCodec14NeedsAnIMEIThatFits(t *testing.T) {
	d := begin(t, `{"commandCodec":14}`, "tcp").(*stream)
	receive(t, d, loginOf("12345678901234567890"))
	err := d.Command(codec.Command{Name: "getver"}, &codec.Outcome{})
	if !errors.Is(err, codec.ErrBadCommand) {
		t.Errorf("%v, want %v", err, codec.ErrBadCommand)
	}
	if d.pending.codec != 0 {
		t.Error("the device is busy after a refusal")
	}
}

func TestDesiredValuesAreSetAndConfirmed(t *testing.T) {
	for _, c := range []struct{ name, desired, text, answer, confirmed, fails string }{
		{
			name: "the answer names the parameter", desired: `{"2001":"internet"}`, text: "setparam 2001:internet",
			answer: "Param ID:2001 Value:internet", confirmed: `{"2001":"internet"}`,
		},
		{
			name: "in ascending order, with JSON types kept", desired: `{"10050": 60, "2001":"internet", "2000": true}`,
			text:      "setparam 2000:1;2001:internet;10050:60",
			answer:    "New value 2000:1;2001:internet;10050:60",
			confirmed: `{"2000":true,"2001":"internet","10050":60}`,
		},
		{
			name: "another wording", desired: `{"1000":30}`, text: "setparam 1000:30",
			answer: "Param ID:1000 New Val:30\r\n", confirmed: `{"1000":30}`,
		},
		{
			name: "several without separators", desired: `{"2001":"a","2002":"b"}`, text: "setparam 2001:a;2002:b",
			answer: "Param ID:2001 New Text:a Param ID:2002 New Text:b", confirmed: `{"2001":"a","2002":"b"}`,
		},
		{
			name: "only what the answer names", desired: `{"2001":"a","2002":"b"}`, text: "setparam 2001:a;2002:b",
			answer: "New value 2002:b", confirmed: `{"2002":"b"}`,
		},
		{
			name: "the device took another value", desired: `{"1000":5}`, text: "setparam 1000:5",
			answer: "Param ID:1000 Value:10", confirmed: `{"1000":"10"}`,
		},
		{
			name: "a plain success confirms all", desired: `{"2001":"a","2002":""}`, text: "setparam 2001:a;2002:",
			answer: "OK\r\n", confirmed: `{"2001":"a","2002":""}`,
		},
		{
			name: "an id within another number is not named", desired: `{"200":"1"}`, text: "setparam 200:1",
			answer: "Param ID:2001 Value:12001", fails: "12001",
		},
		{
			name: "a complaint is a refusal", desired: `{"2001":"a"}`, text: "setparam 2001:a",
			answer: "WARNING: Not Executed: 2001", fails: "Not Executed",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := loggedIn(t, "")
			if text := command(t, d, codec.CommandDesired, c.desired); text != c.text {
				t.Errorf("command %q, want %q", text, c.text)
			}
			r := answer(t, d, textOf(codec12, typeResponse, []byte(c.answer)))
			if c.fails != "" {
				if r.Err == nil || !strings.Contains(r.Err.Error(), c.fails) {
					t.Errorf("result %s %v, want an error with %q", r.Payload, r.Err, c.fails)
				}
				return
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			same(t, r.Payload, c.confirmed)
		})
	}
}

func TestNothingDesiredIsConfirmedAtOnce(t *testing.T) {
	d, out := loggedIn(t, ""), &codec.Outcome{}
	err := d.Command(codec.Command{Correlation: "c1", Name: codec.CommandDesired, Payload: json.RawMessage("{}")}, out)
	if err != nil || len(out.Results) != 1 || string(out.Results[0].Payload) != "{}" || out.Reply != nil {
		t.Errorf("outcome %+v, %v", out, err)
	}
}
