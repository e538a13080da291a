package teltonika

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// vector is one recorded frame with what another decoder read from it.
type vector struct {
	Name        string    `json:"name"`
	Hex         string    `json:"hex"`
	Transport   string    `json:"transport"`
	Expected    *expected `json:"expected"`
	Ack         string    `json:"ack"`
	OracleError string    `json:"oracle_error"`
}

type expected struct {
	CodecID  byte             `json:"codecId"`
	Data     []expectedRecord `json:"data"`
	Messages []struct {
		Timestamp uint32 `json:"timestamp"`
		Type      byte   `json:"type"`
		Text      string `json:"text"`
	} `json:"messages"`
	IMEI   string    `json:"imei"`
	Packet *expected `json:"packet"`
}

type expectedRecord struct {
	TimestampMs    uint64  `json:"timestampMs"`
	Lng            float64 `json:"lng"`
	Lat            float64 `json:"lat"`
	Altitude       int16   `json:"altitude"`
	Angle          uint16  `json:"angle"`
	EventID        uint16  `json:"event_id"`
	Speed          uint16  `json:"speed"`
	Satellites     byte    `json:"satellites"`
	Priority       byte    `json:"priority"`
	GenerationType string  `json:"generationType"`
	Elements       []struct {
		ID    uint16 `json:"id"`
		Value string `json:"value"`
	} `json:"elements"`
}

// vectors reads the shared recordings beside the repository; nil where they are
// not there.
func vectors(t *testing.T) []vector {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Log("no go.work above the test: the shared vectors are not read")
			return nil
		}
		dir = up
	}
	raw, err := os.ReadFile(filepath.Join(dir, "..", "shared", "vectors", "teltonika-full.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Log("the shared vectors are absent: not compared")
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTheSharedVectorsDecodeToTheSameValues(t *testing.T) {
	for _, v := range vectors(t) {
		if v.OracleError != "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			frame := unhex(t, v.Hex)
			d := begin(t, "", v.Transport)
			if v.Transport == "tcp" {
				receive(t, d, loginOf(imei))
			}
			out := receive(t, d, frame)
			if got := hex.EncodeToString(out.Ack); got != v.Ack {
				t.Errorf("ack %s, want %s", got, v.Ack)
			}
			want, data := v.Expected, frame[headLen:max(headLen, len(frame)-crcLen)]
			if v.Transport == "udp" {
				if out.Identity.Device != want.IMEI {
					t.Errorf("device %s, want %s", out.Identity.Device, want.IMEI)
				}
				_, data, _ = splitDatagram(frame)
				want = want.Packet
			}
			compareRecords(t, data, want)
			compareTexts(t, data, want)
			if n := len(want.Data) + len(want.Messages); len(out.Messages) != n {
				t.Errorf("%d messages, want %d", len(out.Messages), n)
			}
			for _, m := range out.Messages {
				if !json.Valid(m.Body) {
					t.Errorf("body is no JSON: %s", m.Body)
				}
			}
		})
	}
}

// compareRecords compares raw values, before names and scales.
func compareRecords(t *testing.T, data []byte, want *expected) {
	t.Helper()
	f, ok := avlFormat(data[0])
	if !ok {
		return
	}
	b, err := batch{data: data}.counted()
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want.Data {
		r, err := readRecord(f, b)
		if err != nil {
			t.Fatal(err)
		}
		got := expectedRecord{
			TimestampMs: r.at, Lng: float64(r.longitude) / 1e7, Lat: float64(r.latitude) / 1e7,
			Altitude: r.altitude, Angle: r.angle, EventID: r.event, Speed: r.speed,
			Satellites: r.satellites, Priority: r.priority,
		}
		if math.Abs(got.Lng-w.Lng) > 1e-9 || math.Abs(got.Lat-w.Lat) > 1e-9 {
			t.Errorf("record %d at %v %v, want %v %v", i, got.Lng, got.Lat, w.Lng, w.Lat)
		}
		generation := "Unknown"
		if r.hasGeneration {
			generation = generationName(r.generation)
		}
		if generation != lowerFirst(w.GenerationType) && generation != w.GenerationType {
			t.Errorf("record %d generation %s, want %s", i, generation, w.GenerationType)
		}
		for _, e := range w.Elements {
			it, more, err := r.elements.next()
			if err != nil || !more || it.id != e.ID || hex.EncodeToString(it.value) != e.Value {
				t.Errorf("record %d: element %d %x, want %d %s (%v)", i, it.id, it.value, e.ID, e.Value, err)
			}
		}
		if _, more, err := r.elements.next(); more || err != nil {
			t.Errorf("record %d has more elements (%v)", i, err)
		}
		b = r.elements.rest
		got.Lng, got.Lat, got.GenerationType, got.Elements = w.Lng, w.Lat, w.GenerationType, w.Elements
		if g, x := toJSON(t, got), toJSON(t, w); g != x {
			t.Errorf("record %d\ngot  %s\nwant %s", i, g, x)
		}
	}
}

func compareTexts(t *testing.T, data []byte, want *expected) {
	t.Helper()
	if len(want.Messages) == 0 {
		return
	}
	rest, err := batch{data: data}.counted()
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want.Messages {
		var got text
		if got, rest, err = readText(data[0], rest); err != nil {
			t.Fatal(err)
		}
		if got.kind != w.Type || got.seconds != w.Timestamp || string(got.data) != w.Text {
			t.Errorf("text %d: %+v, want %+v", i, got, w)
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lowerFirst turns OnChange into onChange.
func lowerFirst(s string) string {
	return string(s[0]|0x20) + s[1:]
}

// verdict is what the specification says about a frame that the other decoder
// could not read.
type verdict struct {
	// err is the kind of the refusal, nil for a good frame.
	err error
	// needsMore: the framing waits for the rest; as a frame it is malformed.
	needsMore bool
	messages  int
	ack, kind string
	why       string
}

// verdicts are the decisions, by the vector's name.
func verdicts() map[string]verdict {
	return map[string]verdict{
		"TeltonikaProtocolDecoder.testDecode#0": {why: "a login of fifteen digits, not a packet"},
		"TeltonikaProtocolDecoder.testDecode#15": {messages: 1, kind: "data",
			why: "Codec 13 defines type 6 only; type 5 is a server's command, kept as it is"},
		"TeltonikaProtocolDecoder.testDecode#20": {err: codec.ErrMalformed, why: "the check sum is wrong"},
		"TeltonikaProtocolDecoder.testDecode#22": {err: codec.ErrMalformed, why: "the check sum is wrong"},
		"TeltonikaProtocolDecoder.testDecode#36": {err: codec.ErrMalformed, needsMore: true,
			why: "the data field says 199 bytes, one byte is missing"},
		"TeltonikaProtocolDecoder.testDecode#37": {err: codec.ErrMalformed, why: "Codec 7 is not in the specification"},
		"TeltonikaProtocolDecoder.testDecode#40": {err: codec.ErrMalformed, needsMore: true,
			why: "the data field says 166 bytes, 33 are there"},
		"TeltonikaProtocolDecoder.testDecode#46": {messages: 11, ack: "0000000b", kind: "avl",
			why: "the total of elements announces a fifth group, of sixteen bytes each"},
		"TeltonikaProtocolDecoder.testDecodePhoto#48": {messages: 1, kind: "data",
			why: "type 13 of Codec 12 is not in the specification, kept as it is"},
		"TeltonikaProtocolDecoder.testDecodePhoto#49": {err: codec.ErrMalformed, why: "the check sum is wrong"},
		"TeltonikaProtocolDecoder.testDecodePhoto#50": {err: codec.ErrMalformed,
			why: "the check sum is wrong; 2,067 bytes alone are within the packet limit"},
	}
}

func TestTheVectorsThatAnotherDecoderRefusesFollowTheSpecification(t *testing.T) {
	decisions := verdicts()
	for _, v := range vectors(t) {
		if v.OracleError == "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			want, decided := decisions[v.Name]
			if !decided {
				t.Fatalf("no decision about %s", v.OracleError)
			}
			frame := unhex(t, v.Hex)
			d := loggedIn(t, "")
			if v.Hex[:4] == "000f" {
				d = begin(t, "", "tcp").(*stream)
			}
			n, _, err := d.Split(frame, false)
			if err != nil || (n == 0) != want.needsMore || n != 0 && n != len(frame) {
				t.Errorf("Split takes %d of %d bytes (%v)", n, len(frame), err)
			}
			out := &codec.Outcome{}
			if err := d.Receive(codec.Frame{Bytes: frame, At: arrival()}, out); !errors.Is(err, want.err) {
				t.Fatalf("%v, want %v: %s", err, want.err, want.why)
			}
			if want.err != nil {
				return
			}
			if got := hex.EncodeToString(out.Ack); len(out.Messages) != want.messages || got != want.ack {
				t.Errorf("%d messages and ack %q, want %d and %q: %s", len(out.Messages), got, want.messages, want.ack, want.why)
			}
			for _, m := range out.Messages {
				if propertyOf(m, "kind") != want.kind || !json.Valid(m.Body) {
					t.Errorf("kind %q: %s", propertyOf(m, "kind"), m.Body)
				}
			}
			udp := begin(t, "", "udp")
			_ = udp.Receive(codec.Frame{Bytes: frame, At: arrival()}, &codec.Outcome{})
		})
	}
}
