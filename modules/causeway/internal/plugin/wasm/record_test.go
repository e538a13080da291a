package wasm

import (
	"bytes"
	"errors"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// everything is an outcome with each record once.
func everything() []byte {
	var b []byte
	for _, r := range []struct {
		tag  tag
		data string
	}{
		{tagDevice, "d"}, {tagSecret, "s"}, {tagAccept, "a"}, {tagRefuse, "r"}, {tagReply, "re"}, {tagAck, "ac"},
		{tagNak, "na"}, {tagClose, "c"}, {tagMessage, "body"}, {tagMessageDevice, "other"}, {tagContentType, "text/plain"},
		{tagEncoding, "utf-8"}, {tagTime, "\x01\x02\x03\x04\x05\x06\x07\x08"}, {tagProperty, "\x01nv"}, {tagJSON, "{}"},
		{tagResult, "1"}, {tagPayload, "[]"}, {tagResult, "2"}, {tagRefusal, "no"}, {tagError, "\x01what"},
	} {
		b = appendRecord(b, r.tag, r.data)
	}
	return b
}

func TestEveryRecordFindsItsPlace(t *testing.T) {
	limits := Limits{}.withDefaults()
	d := decoder{limits: &limits}
	var out codec.Outcome
	failure, err := d.outcome(everything(), &out)
	if err != nil || !errors.Is(failure, codec.ErrMalformed) || failure.Error() != "what: malformed frame" {
		t.Errorf("got %v, %v", failure, err)
	}
	id := out.Identity
	if id.Device != "d" || id.Secret != "s" || string(id.Accept) != "a" || string(id.Refuse) != "r" {
		t.Errorf("identity %+v", id)
	}
	if string(out.Reply) != "re" || string(out.Ack) != "ac" || string(out.Nak) != "na" || out.Close != "c" {
		t.Errorf("answers %+v", out)
	}
	m := out.Messages[0]
	if string(m.Body) != "body" || m.Device != "other" || m.ContentType != "text/plain" || m.ContentEncoding != "utf-8" ||
		m.Time.UnixNano() != 0x0807060504030201 || m.Properties[0] != (codec.Property{Name: "n", Value: "v"}) {
		t.Errorf("message %+v", m)
	}
	if m := out.Messages[1]; string(m.Body) != "{}" || m.ContentType != "application/json" || m.ContentEncoding != "utf-8" {
		t.Errorf("message %+v", m)
	}
	a, b := out.Results[0], out.Results[1]
	if a.Correlation != "1" || string(a.Payload) != "[]" || a.Err != nil || b.Correlation != "2" || b.Err.Error() != "no" {
		t.Errorf("results %+v", out.Results)
	}
}

// What a module returns can be anything: it is an outcome or an error, within bounds,
// and the same each time.
func FuzzOutcome(f *testing.F) {
	f.Add(everything())
	f.Add(message("x")[:3])
	limits := smallLimits()
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{limits: &limits}
		var out, again codec.Outcome
		failure, err := d.outcome(b, &out)
		if err != nil && (!errors.Is(err, errNonsense) || failure != nil && len(b) == 0) {
			t.Errorf("got %v, %v", failure, err)
		}
		if len(out.Messages) > limits.Messages || len(out.Results) > limits.Messages {
			t.Errorf("%d messages, %d results", len(out.Messages), len(out.Results))
		}
		for _, m := range out.Messages {
			if len(m.Body) > len(b) || len(m.Properties) > maxProperties {
				t.Errorf("message %+v", m)
			}
		}
		_, errAgain := d.outcome(b, &again)
		if (err == nil) != (errAgain == nil) || len(again.Messages) != len(out.Messages) || !bytes.Equal(again.Reply, out.Reply) {
			t.Errorf("first %v, then %v", err, errAgain)
		}
	})
}

func FuzzCut(f *testing.F) {
	f.Add(appendRecord(nil, tagFrame, "\x00\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00"), []byte("abc"))
	f.Add(appendRecord(nil, tagSkip, "\x01\x00\x00\x00"), []byte("abc"))
	f.Fuzz(func(t *testing.T, b, data []byte) {
		n, frame, failure, err := cut(b, data)
		if n < 0 || n > len(data) || len(frame) > n || (failure != nil || err != nil) && (n != 0 || frame != nil) {
			t.Errorf("consumed %d of %d, a frame of %d, %v, %v", n, len(data), len(frame), failure, err)
		}
	})
}
