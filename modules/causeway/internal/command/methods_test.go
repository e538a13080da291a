package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// fakeGateway has two devices and one log level.
type fakeGateway struct{}

func (fakeGateway) Status() any { return map[string]any{"fine": true} }

func (fakeGateway) Devices(after string, limit int) ([]any, int) {
	if after == "z" {
		return nil, 2
	}
	return []any{"after " + after, limit}, 2
}

func (fakeGateway) Device(id string) (any, bool) { return map[string]string{"deviceId": id}, id == "d" }

func (fakeGateway) Identities(string, int, string) ([]any, int) {
	return []any{map[string]any{"deviceId": "a"}}, 1
}

func (fakeGateway) DiscardMessages(_ context.Context, device string) (int, error) {
	switch device {
	case "here":
		return 0, fmt.Errorf("%w: it is connected", ErrInUse)
	case "unreadable":
		return 3, errors.New("disk away")
	default:
		return 7, nil
	}
}

func (fakeGateway) SetLogLevel(level string) error {
	if level != "debug" {
		return fmt.Errorf("level is %q, allowed is debug", level)
	}
	return nil
}

// fakeLetters answers with what it was asked.
type fakeLetters struct{}

func (fakeLetters) List(after uint64, limit int, listener string) (any, error) {
	if listener == "broken" {
		return nil, errors.New("disk full")
	}
	return []any{after, limit, listener}, nil
}

func (fakeLetters) Replay(_ context.Context, what Replay) (any, error) {
	switch what.Listener {
	case "broken":
		return nil, errors.New("disk full")
	case "busy":
		return nil, ErrReplaying
	}
	return what, nil
}

func TestMethodsAnswerGoodAndBadPayloads(t *testing.T) {
	cases := []struct {
		method, payload string
		status          int
		answer          string // a part of it
	}{
		{"ping", "", 200, `"pong":true`},
		{"decode", `{"codec":"a","text":"hi"}`, 200, `"codec":"a"`},
		{"ping", `{"any":"thing"}`, 200, `"pong":true`},
		{"getStatus", "null", 200, `{"fine":true}`},
		{"discardMessages", `{"deviceId":"gone"}`, 200, `{"discarded":7}`},
		{"discardMessages", `{"deviceId":"here"}`, 409, "device in use: it is connected"},
		{"discardMessages", `{"deviceId":"unreadable"}`, 503, "after 3 messages: disk away"},
		{"discardMessages", `{}`, 400, "deviceId is missing"},
		{"listDevices", "", 200, `{"devices":["after ",100],"total":2}`},
		{"listDevices", `{"after":"c","limit":5}`, 200, `["after c",5]`},
		{"listDevices", `{"after":"z"}`, 200, `{"devices":[],"total":2}`},
		{"listDevices", `{"limit":0}`, 400, "limit is 0, allowed are 1 to 500"},
		{"listDevices", `{"limit":501}`, 400, "limit is 501"},
		{"listDevices", `{"limit":"5"}`, 400, "limit"},
		{"listDevices", `{"lmit":5}`, 400, `unknown field \"lmit\"`},
		{"listDevices", `[]`, 400, "payload"},
		{"listDevices", `{} {}`, 400, "more than one"},
		{"listDevices", `{`, 400, "payload"},
		{"getDevice", `{"deviceId":"d"}`, 200, `{"deviceId":"d"}`},
		{"getDevice", `{"deviceId":"e"}`, 404, `device \"e\" is not connected`},
		{"getDevice", "", 400, "deviceId is missing"},
		{"getDevice", `"d"`, 400, "payload"},
		{"disconnectDevice", `{"deviceId":"d"}`, 200, `{"disconnected":true}`},
		{"disconnectDevice", `{"deviceId":"e"}`, 404, "not connected"},
		{"disconnectDevice", `{}`, 400, "deviceId is missing"},
		{"setLogLevel", `{"level":"debug"}`, 200, `{"level":"debug"}`},
		{"setLogLevel", `{"level":"loud"}`, 400, "allowed is debug"},
		{"setLogLevel", "7", 400, "payload"},
		{"sendCommand", `{"deviceId":"d","command":"getver"}`, 200, `"getver"`},
		{"sendCommand", `{"deviceId":"d","command":"getver","payload":{"a":[1]},"timeoutSeconds":1,"queueSeconds":1}`, 200, ""},
		{"sendCommand", `{"deviceId":"e","command":"getver"}`, 404, "not connected"},
		{"sendCommand", `{"command":"getver"}`, 400, "deviceId is missing"},
		{"sendCommand", `{"deviceId":"d"}`, 400, "command is missing"},
		{"sendCommand", `{"deviceId":"d","command":"c","timeoutSeconds":0}`, 400, "timeoutSeconds is 0, allowed are 1 to 270"},
		{"sendCommand", `{"deviceId":"d","command":"c","timeoutSeconds":271}`, 400, "timeoutSeconds is 271"},
		{"sendCommand", `{"deviceId":"d","command":"c","queueSeconds":-1}`, 400, "queueSeconds is -1, allowed are 0 to 604800"},
		{"sendCommand", `{"deviceId":"d","command":"c","queueSeconds":604801}`, 400, "queueSeconds is 604801"},
		{"sendCommand", `{"deviceId":"d","command":"c","priority":1}`, 400, "unknown field"},
		{"sendCommand", `{"deviceId":"d","command":"c","retry":true}`, 400, "retry needs queueSeconds"},
		{"listIdentities", "", 200, `"total":1`},
		{"listIdentities", `{"limit":201}`, 400, "allowed are 1 to 200"},
		{"listIdentities", `{"state":"lost"}`, 400, "quarantined"},
		{"listIdentities", `{"status":"x"}`, 400, "unknown field"},
		{"putCodec", `{"sha256":"ab","text":"hi"}`, 200, `{"missing":0,"stored":true}`},
		{"putCodec", `{"sha256":"ab","part":1,"parts":3,"base64":"aGk="}`, 200, `{"missing":2,"stored":false}`},
		{"putCodec", `{"sha256":"ab"}`, 400, "exactly one of base64 and text"},
		{"putCodec", `{"sha256":"ab","text":"a","base64":"aGk="}`, 400, "exactly one"},
		{"putCodec", `{"sha256":"ab","base64":"?"}`, 400, "base64"},
		{"putCodec", `{"sha":"ab"}`, 400, "unknown field"},
		{"putCodec", `{"sha256":"","text":"hi"}`, 422, "no digest"},
		{"reloadCodecs", "", 200, `{"codecs":{"acme":"new"}}`},
		{"reloadCodecs", `{"codec":"acme"}`, 400, "unknown field"},
		{"listDeadLetters", "", 200, `[0,20,""]`},
		{"listDeadLetters", `{"after":7,"limit":2,"listener":"l"}`, 200, `[7,2,"l"]`},
		{"listDeadLetters", `{"limit":0}`, 400, "limit is 0, allowed are 1 to 200"},
		{"listDeadLetters", `{"limit":201}`, 400, "limit is 201"},
		{"listDeadLetters", `{"after":-1}`, 400, "after"},
		{"listDeadLetters", `{"listener":"broken"}`, 503, "disk"},
		{"replayDeadLetters", `{"all":true}`, 200, `"limit":100`},
		{"replayDeadLetters", `{"ids":[1,2],"limit":5}`, 200, `"ids":[1,2]`},
		{"replayDeadLetters", `{"listener":"l","after":7}`, 200, `"after":7`},
		{"replayDeadLetters", "", 400, "exactly one"},
		{"replayDeadLetters", `{"all":true,"listener":"l"}`, 400, "exactly one"},
		{"replayDeadLetters", `{"all":true,"limit":1001}`, 400, "limit is 1001, allowed are 1 to 1000"},
		{"replayDeadLetters", `{"all":"yes"}`, 400, "payload"},
		{"replayDeadLetters", `{"listener":"busy"}`, 409, "another replay"},
		{"replayDeadLetters", `{"listener":"broken"}`, 503, "disk"},
		{"sendRaw", `{"deviceId":"d","hex":"0a 0B"}`, 200, `{"sent":2}`},
		{"sendRaw", `{"deviceId":"d","base64":"Cgs="}`, 200, `{"sent":2}`},
		{"sendRaw", `{"deviceId":"d","text":"\n\u000b","awaitReplySeconds":1}`, 200, `"replyHex":"00ff"`},
		{"sendRaw", `{"deviceId":"d","text":"busy"}`, 409, "busy"},
		{"sendRaw", `{"deviceId":"d","text":"gone"}`, 504, "gone"},
		{"sendRaw", `{"deviceId":"e","text":"x"}`, 404, "not connected"},
		{"sendRaw", `{"text":"x"}`, 400, "deviceId is missing"},
		{"sendRaw", `{"deviceId":"d"}`, 400, "exactly one"},
		{"sendRaw", `{"deviceId":"d","text":""}`, 400, "not empty"},
		{"sendRaw", `{"deviceId":"d","text":"x","hex":"0a"}`, 400, "exactly one"},
		{"sendRaw", `{"deviceId":"d","hex":"0"}`, 400, "hex"},
		{"sendRaw", `{"deviceId":"d","base64":"*"}`, 400, "base64"},
		{"sendRaw", `{"deviceId":"d","text":"x","awaitReplySeconds":271}`, 400, "allowed are 0 to 270"},
		{"sendRaw", `{"deviceId":"d","text":"x","awaitReplySeconds":-1}`, 400, "allowed are 0 to 270"},
		{"listBans", "", 200, `[0,100]`},
		{"listBans", `{"skip":7,"limit":301}`, 400, "limit is 301, allowed are 1 to 300"},
		{"listBans", `{"skip":-1}`, 400, "skip is -1"},
		{"ban", `{"deviceId":"d","reason":"stolen","seconds":60}`, 200, `{"banned":true,"closed":1}`},
		{"ban", `{"addresses":"10.0.0.0/8"}`, 200, `"banned":true`},
		{"ban", `{"addresses":"::1"}`, 200, `"banned":true`},
		{"ban", `{}`, 400, "exactly one"},
		{"ban", `{"deviceId":"d","addresses":"::1"}`, 400, "exactly one"},
		{"ban", `{"addresses":"everybody"}`, 400, "CIDR"},
		{"ban", `{"deviceId":"d","seconds":-1}`, 400, "seconds is -1"},
		{"ban", `{"deviceId":"full"}`, 422, "full"},
		{"unban", `{"deviceId":"d"}`, 200, `{"lifted":true}`},
		{"unban", `{"deviceId":"e"}`, 404, "no such ban"},
		{"unban", `{"deviceId":"full"}`, 422, "full"},
		{"unban", `{"address":"::1"}`, 400, "unknown field"},
		{"listQuarantine", "", 200, `["",20]`},
		{"listQuarantine", `{"limit":201}`, 400, "limit is 201"},
		{"admitDevice", `{"deviceId":"d"}`, 200, `{"admitted":true,"connected":true}`},
		{"admitDevice", `{"deviceId":"e","seconds":5}`, 200, `"connected":false`},
		{"admitDevice", `{"deviceId":"e","seconds":0}`, 400, "seconds is 0, allowed are 1 to"},
		{"admitDevice", `{"deviceId":"full"}`, 422, "full"},
		{"admitDevice", `{}`, 400, "deviceId is missing"},
		{"rejectDevice", `{"deviceId":"d","seconds":5}`, 200, `{"rejected":true}`},
		{"rejectDevice", `{"deviceId":"e"}`, 404, "not in quarantine"},
		{"rejectDevice", `{"deviceId":"full"}`, 422, "full"},
		{"rejectDevice", `[]`, 400, "payload"},
		{"putDevice", `{"deviceId":"d","password":"hunter2","expiresAt":"2027-01-31T12:00:00Z","listeners":["l"],"note":"n"}`, 200, `{"stored":true}`},
		{"putDevice", `{"deviceId":"d","password":4711}`, 400, "want a string"},
		{"putDevice", `{"password":"hunter2"}`, 400, "deviceId is missing"},
		{"putDevice", `{"deviceId":"full"}`, 422, "full"},
		{"putDevice", `{"deviceId":"closed"}`, 503, "not available"},
		{"removeDevice", `{"deviceId":"d"}`, 200, `{"removed":true}`},
		{"removeDevice", `{"deviceId":"e"}`, 404, "no such device"},
		{"removeDevice", "", 400, "deviceId is missing"},
		{"listAuthDevices", "", 200, `["",100,false]`},
		{"listAuthDevices", `{"limit":501}`, 400, "limit is 501"},
		{"exportDevices", `{"after":"d"}`, 200, `["d",100,true]`},
		{"exportDevices", `{"after":"closed"}`, 503, "not available"},
		{"importDevices", `{"devices":[{"id":"d"},{"id":"e"}]}`, 200, `{"added":2,"replaced":0}`},
		{"importDevices", `{"devices":[{"id":"full"}]}`, 422, "full"},
		{"importDevices", `{}`, 400, "devices is missing"},
	}
	f := newField(t)
	d := f.come("d", &fakeDevice{raw: func(_ context.Context, b []byte, await bool) ([]byte, error) {
		switch {
		case string(b) == "busy":
			return nil, codec.ErrBusy
		case string(b) == "gone":
			return nil, errors.New("the device is gone")
		case string(b) != "\n\x0b":
			return nil, fmt.Errorf("sent %q", b)
		case !await:
			return nil, nil
		}
		return []byte("\x00\xff"), nil
	}})
	m := NewMethods(f.Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{}, fakeGateway{}, fakeDoors())
	covered := map[string]bool{}
	for _, c := range cases {
		covered[c.method] = true
		t.Run(c.method+" "+c.payload, func(t *testing.T) {
			a := m.Call(t.Context(), c.method, json.RawMessage(c.payload))
			if a.Status != c.status || !strings.Contains(string(a.Payload), c.answer) || !json.Valid(a.Payload) {
				t.Errorf("answered %d %s, want %d and %s in it", a.Status, a.Payload, c.status, c.answer)
			}
		})
	}
	for _, name := range m.Names() {
		if !covered[name] {
			t.Errorf("method %s is not tested", name)
		}
	}
	if d.closed != "disconnected-by-method" {
		t.Errorf("disconnected for %q", d.closed)
	}
}

func TestUnknownMethodListsTheKnown(t *testing.T) {
	m := NewMethods(newField(t).Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{}, fakeGateway{}, fakeDoors())
	a := m.Call(t.Context(), "Ping", nil) // names are case-sensitive
	var refusal struct {
		Error string
		Known []string
	}
	if err := json.Unmarshal(a.Payload, &refusal); err != nil || a.Status != 400 {
		t.Fatalf("answered %d %s", a.Status, a.Payload)
	}
	if !strings.Contains(refusal.Error, `"Ping"`) || !slices.Equal(refusal.Known, m.Names()) || len(refusal.Known) != 26 {
		t.Errorf("answered %s", a.Payload)
	}
}

func TestAnswerThatCannotBeEncodedIsStillAnAnswer(t *testing.T) {
	a := success(StatusOK, func() {})
	if a.Status != StatusUnavailable || !json.Valid(a.Payload) {
		t.Errorf("answered %d %s", a.Status, a.Payload)
	}
}

func TestRawReplyHasItsOwnTime(t *testing.T) {
	f := newField(t)
	f.come("d", &fakeDevice{raw: func(ctx context.Context, _ []byte, _ bool) ([]byte, error) {
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > 7*time.Second || left < 6*time.Second {
			return nil, fmt.Errorf("the deadline is in %v", left)
		}
		return nil, nil
	}})
	a := NewMethods(f.Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{}, fakeGateway{}, fakeDoors()).Call(t.Context(), "sendRaw",
		json.RawMessage(`{"deviceId":"d","text":"x","awaitReplySeconds":7}`))
	if a.Status != 200 {
		t.Errorf("answered %d %s", a.Status, a.Payload)
	}
}
