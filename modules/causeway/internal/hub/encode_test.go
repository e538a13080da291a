package hub

import (
	"bytes"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/Azure/go-amqp"
	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// decode reads a message with go-amqp, which shares no code with the encoder.
func decode(tb testing.TB, m *message.Message) *amqp.Message {
	tb.Helper()
	const before = "before" // what stands in the buffer stays
	b := new(encoder).appendMessage([]byte(before), m, 0)
	if !bytes.HasPrefix(b, []byte(before)) {
		tb.Fatalf("the buffer begins with %q", b[:len(before)])
	}
	out := new(amqp.Message)
	if err := out.UnmarshalBinary(b[len(before):]); err != nil {
		tb.Fatalf("go-amqp cannot read it: %v\n%x", err, b[len(before):])
	}
	if out.Properties == nil || len(out.Data) != 1 {
		tb.Fatalf("properties %v, %d data sections", out.Properties, len(out.Data))
	}
	return out
}

func symbol(s *string) string {
	if s == nil {
		return "(null)"
	}
	return *s
}

// usual is what every message of telemetry says in its application properties.
func usual(more map[string]any) map[string]any {
	m := map[string]any{
		"iothub-outputname": "telemetry", "deviceId": "tracker-1", "listener": "trackers", "codec": "teltonika",
		"iothub-creation-time-utc": "2026-08-01T12:00:00.0000000Z",
	}
	maps.Copy(m, more)
	return m
}

func TestMessageReadsBackAsItWas(t *testing.T) {
	long, body := strings.Repeat("ä", 200), strings.Repeat("x", 100_000)
	cases := []struct {
		name    string
		change  func(m *message.Message)
		id      string
		content [2]string
		want    map[string]any
		body    string
	}{
		{name: "as it comes", want: map[string]any{"priority": "1", "event": "ignition"}},
		{name: "without properties", change: func(m *message.Message) { m.Properties = nil }},
		{
			name:    "without content type and encoding",
			change:  func(m *message.Message) { m.Properties, m.ContentType, m.ContentEncoding = nil, "", "" },
			content: [2]string{"(null)", "(null)"},
		},
		{
			name:    "a content type that is not ASCII is left out",
			change:  func(m *message.Message) { m.Properties, m.ContentType, m.ContentEncoding = nil, "täxt/plain", "\xff" },
			content: [2]string{"(null)", "(null)"},
		},
		{
			name: "values of more than 255 bytes",
			change: func(m *message.Message) {
				m.Properties = []message.Property{{Name: long, Value: long + long}}
				m.ContentType = "text/" + strings.Repeat("p", 300)
			},
			content: [2]string{"text/" + strings.Repeat("p", 300), "utf-8"},
			want:    map[string]any{long: long + long},
		},
		{
			name:   "a large body",
			change: func(m *message.Message) { m.Properties, m.Body = nil, []byte(body) }, body: body,
		},
		{
			name: "names of the gateway and of the hub are kept for them",
			change: func(m *message.Message) {
				m.Properties = []message.Property{
					{Name: "DeviceID", Value: "other"}, {Name: "IOTHUB-OutputName", Value: "other"}, {Name: "codec", Value: "other"},
					{Name: "Listener", Value: "other"}, {Name: "iothub-creation-time-utc", Value: "other"},
					{Name: "iothub-message-schema", Value: "other"}, {Name: "IotHub-Operation", Value: "other"},
					{Name: "device", Value: "stays"},
				}
			},
			want: map[string]any{"device": "stays"},
		},
		{
			name: "the first of names that differ by case stays",
			change: func(m *message.Message) {
				m.Properties = []message.Property{
					{Name: "Speed", Value: "1"}, {Name: "speed", Value: "2"}, {Name: "Speed", Value: "3"}, {Name: "", Value: "no name"},
				}
			},
			want: map[string]any{"Speed": "1"},
		},
		{
			name: "bytes that are no text become text",
			change: func(m *message.Message) {
				m.Properties = []message.Property{{Name: "na\xffme", Value: "\xc3("}}
			},
			want: map[string]any{"na\ufffdme": "\ufffd("},
		},
		{
			name: "seven digits of the second, in UTC",
			change: func(m *message.Message) {
				m.Properties = nil
				m.Created = time.Date(2026, 8, 1, 14, 0, 0, 123456789, time.FixedZone("CEST", 7200))
			},
			want: map[string]any{"iothub-creation-time-utc": "2026-08-01T12:00:00.1234567Z"},
		},
		{
			name: "the longest device id and the highest numbers",
			change: func(m *message.Message) {
				m.Properties, m.Device, m.Epoch, m.Seq = nil, strings.Repeat("d", 128), 1<<64-1, 1<<64-1
			},
			id:   "#2jcqkuchfcpx-3w5e11264sgsf-3w5e11264sgsf", // the hub takes 128 characters
			want: map[string]any{"deviceId": strings.Repeat("d", 128)},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := telemetry("{}")
			if c.change != nil {
				c.change(m)
			}
			out := decode(t, m)
			if c.id == "" {
				c.id = "tracker-1-" + strconv.FormatUint(1<<60, 36) + "-25"
			}
			if out.Properties.MessageID != any(c.id) {
				t.Errorf("message id %v, want %q", out.Properties.MessageID, c.id)
			}
			if c.content == [2]string{} {
				c.content = [2]string{"application/json", "utf-8"}
			}
			if got := [2]string{symbol(out.Properties.ContentType), symbol(out.Properties.ContentEncoding)}; got != c.content {
				t.Errorf("content type and encoding %q, want %q", got, c.content)
			}
			if want := usual(c.want); !maps.Equal(out.ApplicationProperties, want) {
				t.Errorf("application properties\n %v, want\n %v", out.ApplicationProperties, want)
			}
			if c.body == "" {
				c.body = "{}"
			}
			if string(out.GetData()) != c.body {
				t.Errorf("body of %d bytes, want %d", len(out.GetData()), len(c.body))
			}
		})
	}
}

func TestTimesThatTheHubCannotReadAreLeftOut(t *testing.T) {
	for _, created := range []time.Time{
		time.UnixMilli(1 << 62), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		m := telemetry("{}")
		m.Created = created
		out := decode(t, m)
		if v, there := out.ApplicationProperties[propertyCreated]; there {
			t.Errorf("%v is sent as %v", created, v)
		}
	}
}

func TestEmptyBodyIsOneEmptyDataSection(t *testing.T) {
	m := telemetry("")
	m.Body = nil
	if out := decode(t, m); len(out.GetData()) != 0 {
		t.Errorf("body %q", out.GetData())
	}
}

// TestBatchIsDataSectionsOfWholeMessages decodes the transfer as the hub does.
func TestBatchIsDataSectionsOfWholeMessages(t *testing.T) {
	u := NewUplink(UplinkOptions{})
	mustSend(t, u, "first")
	for _, body := range []string{"second", "third"} {
		mustSend(t, u, body)
	}
	b := mustNext(t, u)
	defer u.accepted(b)
	wire := u.transfer(b)
	if wire.Format != 0x80013700 || wire.Properties != nil || wire.ApplicationProperties != nil {
		t.Errorf("the transfer is %+v", wire)
	}
	for i, want := range []string{"first", "second", "third"} {
		var member amqp.Message
		if err := member.UnmarshalBinary(wire.Data[i]); err != nil {
			t.Fatal(err)
		}
		if string(member.GetData()) != want {
			t.Errorf("member %d is %q, want %q", i, member.GetData(), want)
		}
	}
}

func FuzzMessageReadsBack(f *testing.F) {
	f.Add("tracker-1", "telemetry", "application/json", "utf-8", "Name", "value", "name", "other", []byte("{}"), int64(0))
	f.Add("", "", "", "", "", "", "", "", []byte(nil), int64(-1<<63))
	f.Add("ü", strings.Repeat("o", 256), "\xff", "é", "\xff", "\xfe", "\xfd", strings.Repeat("v", 300), make([]byte, 256), int64(1<<60))
	f.Fuzz(func(t *testing.T, device, output, contentType, encoding, n1, v1, n2, v2 string, body []byte, at int64) {
		if !utf8.ValidString(device) {
			device = "sessions let only text in"
		}
		m := &message.Message{
			Device: device, Output: output, ContentType: contentType, ContentEncoding: encoding, Body: body,
			Created: time.UnixMilli(at), Properties: []message.Property{{Name: n1, Value: v1}, {Name: n2, Value: v2}},
		}
		out := decode(t, m)
		if !bytes.Equal(out.GetData(), body) {
			t.Errorf("body %q, want %q", out.GetData(), body)
		}
		if out.ApplicationProperties[propertyDevice] != any(device) {
			t.Errorf("device %v, want %q", out.ApplicationProperties[propertyDevice], device)
		}
		if got := DeviceOf(encode(m)); got != device {
			t.Errorf("the device is read back as %q, want %q", got, device)
		}
		seen := map[string]bool{}
		for name, value := range out.ApplicationProperties {
			if text, ok := value.(string); !ok || !utf8.ValidString(text) || !utf8.ValidString(name) {
				t.Errorf("property %q is %v", name, value)
			}
			if lower := strings.ToLower(name); seen[lower] {
				t.Errorf("property %q is there twice", name)
			} else {
				seen[lower] = true
			}
		}
	})
}

// TestWhatAnEncoderRemembersIsTheSame compares one that has seen other messages with one
// that has not.
func TestWhatAnEncoderRemembersIsTheSame(t *testing.T) {
	e := new(encoder)
	rapid.Check(t, func(r *rapid.T) {
		one := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(r, name) }
		m := &message.Message{
			Device: one("device", "a", "b", strings.Repeat("long", 30)), Output: one("output", "o", "p"),
			Listener: one("listener", "l", "m"), Codec: one("codec", "c", "d"),
			ContentType: one("type", "application/json", ""), ContentEncoding: one("encoding", "utf-8", ""),
			Epoch: rapid.Uint64Range(0, 1).Draw(r, "epoch"), Seq: rapid.Uint64().Draw(r, "seq"),
			Created: time.Unix(rapid.Int64Range(-2, 2).Draw(r, "second"), rapid.Int64Range(0, 999_999_999).Draw(r, "nanos")),
			Body:    []byte(one("body", "", "body")),
		}
		if rapid.Bool().Draw(r, "no time") {
			m.Created = time.UnixMilli(1 << 62)
		}
		hash := rapid.Uint64Range(0, 2).Draw(r, "hash") // others may share its place
		if got, want := e.appendMessage(nil, m, hash), encode(m); !bytes.Equal(got, want) {
			r.Fatalf("got\n%q, want\n%q", got, want)
		}
		want := m.Created.UTC().Format(createdLayout)
		if out := decode(t, m); m.Created.Year() < 9999 && out.ApplicationProperties[propertyCreated] != any(want) {
			r.Fatalf("created %v, want %v", out.ApplicationProperties[propertyCreated], want)
		}
	})
}

func FuzzDeviceOfTakesAnyBytes(f *testing.F) {
	whole := encode(telemetry("body"))
	for n := 0; n < len(whole); n += 7 {
		f.Add(whole[:n])
	}
	f.Add([]byte("\x00\x53\x73\xd0\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if device := DeviceOf(encoded); len(device) > len(encoded) {
			t.Errorf("%d bytes give a device of %d", len(encoded), len(device))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	e, m, dst := new(encoder), telemetry(`{"speed":54,"ignition":true}`), make([]byte, 0, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(encode(m))))
	for b.Loop() {
		dst = e.appendMessage(dst[:0], m, 0)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	e, m, dst := new(encoder), telemetry(`{"speed":54,"ignition":true}`), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst = e.appendMessage(dst[:0], m, 0) }); n != 0 {
		t.Errorf("a message costs %.0f allocations", n)
	}
}

func TestNamesThatTheHubOrTheGatewayUsesAreLeftOutInAnyCase(t *testing.T) {
	own := []string{
		"iothub-outputname", "iothub-creation-time-utc", "deviceId", "listener", "codec",
		"iothub-message-schema", "iothub-operation",
	}
	for _, name := range own {
		if !reserved(name) || !reserved(strings.ToUpper(name)) || reserved(name+"x") || reserved(name[1:]) {
			t.Errorf("%s is not told from others", name)
		}
	}
}
