package rpc

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestSettingsBecomeAConfig(t *testing.T) {
	got, err := ParseConfig([]byte(`{
		"endpoints": ["a:1", "unix:/b"], "tls": {"ca": "c", "certificate": "d", "key": "e", "serverName": "f"},
		"deadlineMilliseconds": 5, "window": 6, "windowBytes": 7, "answerBytes": 8, "healthMilliseconds": 9}`))
	want := Config{
		Endpoints: []string{"a:1", "unix:/b"}, TLS: &TLS{CA: "c", Certificate: "d", Key: "e", ServerName: "f"},
		Deadline: 5 * time.Millisecond, Window: 6, WindowBytes: 7, AnswerBytes: 8, Health: 9 * time.Millisecond,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for raw, pointer := range map[string]string{
		`{}`:                                     "/endpoints",
		`{"endpoints": ["a:1"], "speed": 1}`:     "/speed",
		`{"endpoints": ["a:1"], "window": -1}`:   "/window",
		`{"endpoints": ["a:1"], "tls": {"x":1}}`: "/tls/x",
		`{"endpoints": ["a:1"], "deadlineMilliseconds": 60001}`: "/deadlineMilliseconds",
	} {
		_, err := ParseConfig([]byte(raw))
		if got, ok := errors.AsType[*codec.OptionError](err); !ok || got.Pointer != pointer {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
