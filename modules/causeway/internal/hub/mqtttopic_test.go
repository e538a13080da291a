package hub

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const eventsOfTheTest = "devices/edge%201/modules/cause%2Bway/messages/events/"

func testIdentity(gateway string) Identity {
	return Identity{HubName: "h.azure-devices.net", Gateway: gateway, Device: "edge 1", Module: "cause+way"}
}

// unescapeDataString is .NET's, as the edge hub uses it, written for the test: %XX of
// either case is a byte, everything else stays, a plus too.
func unescapeDataString(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// readByTheHub is what the documentation says that the hub makes of a bag; the text says
// what it would refuse.
func readByTheHub(bag string) (pairs map[string]string, fault string) {
	pairs = map[string]string{}
	if strings.Contains(bag, "/") {
		return nil, "an unencoded slash ends parsing"
	}
	for part := range strings.SplitSeq(bag, "&") {
		key, value, _ := strings.Cut(part, "=")
		if key == "" || strings.Contains(value, "=") {
			return nil, "a format error"
		}
		key = unescapeDataString(key)
		if _, twice := pairs[key]; twice {
			return nil, "a name comes twice: " + key
		}
		pairs[key] = unescapeDataString(value)
	}
	return pairs, ""
}

func TestTheTopicOfAMessageSaysEverythingButItsBody(t *testing.T) {
	t.Parallel()
	m := telemetry("x")
	want := eventsOfTheTest + "%24.on=telemetry&%24.mid=" + escapeID(string(m.AppendID(nil))) +
		"&%24.ct=application%2Fjson&%24.ce=utf-8&%24.ctime=2026-08-01T12%3A00%3A00.0000000Z" +
		"&deviceId=tracker-1&listener=trackers&codec=teltonika&priority=1&event=ignition"
	if got := testIdentity("").eventsTopic(m); got != want {
		t.Errorf("topic\n%s, want\n%s", got, want)
	}
	bare := &message.Message{Device: "d", Output: "o"}
	want = eventsOfTheTest + "%24.on=o&%24.mid=d-0-0&deviceId=d&listener=&codec="
	if got := testIdentity("").eventsTopic(bare); got != want {
		t.Errorf("topic\n%s, want\n%s", got, want)
	}
}

func TestPropertiesAreReadAsTheyWereMeant(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		property message.Property
		encoded  string // empty: left out
	}{
		"a space":              {message.Property{Name: "a b", Value: "c d"}, "a%20b=c%20d"},
		"a plus":               {message.Property{Name: "a+b", Value: "+1"}, "a%2Bb=%2B1"},
		"separators":           {message.Property{Name: "a=b&c", Value: "/x/=&?"}, "a%3Db%26c=%2Fx%2F%3D%26%3F"},
		"a percent sign":       {message.Property{Name: "load", Value: "50%25"}, "load=50%2525"},
		"other scripts":        {message.Property{Name: "город", Value: "鹿"}, "%D0%B3%D0%BE%D1%80%D0%BE%D0%B4=%E9%B9%BF"},
		"wildcards of MQTT":    {message.Property{Name: "#", Value: "+/#"}, "%23=%2B%2F%23"},
		"what needs no coding": {message.Property{Name: "a-b_c.d~e", Value: "Z9"}, "a-b_c.d~e=Z9"},
		"no value":             {message.Property{Name: "flag", Value: ""}, "flag="},
		"a key of the hub":     {message.Property{Name: "$.to", Value: "x"}, ""},
		"another of the hub":   {message.Property{Name: "Ack", Value: "full"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &message.Message{Device: "d", Properties: []message.Property{c.property}}
			topic := testIdentity("").eventsTopic(m)
			_, tail, _ := strings.Cut(topic, "codec=")
			if got := strings.TrimPrefix(tail, "&"); got != c.encoded {
				t.Fatalf("encoded %q, want %q", got, c.encoded)
			}
			pairs, fault := readByTheHub(strings.TrimPrefix(topic, eventsOfTheTest))
			if value, there := pairs[c.property.Name]; fault != "" || there != (c.encoded != "") || value != c.property.Value && there {
				t.Errorf("the hub reads %q, %s", pairs, fault)
			}
		})
	}
}

func FuzzTheHubReadsTheBagThatWasMeant(f *testing.F) {
	f.Add("tracker-1", "telemetry", "application/json", "key", "a value")
	f.Add("d/1", "o", "", "a=b", "+%2B&/")
	f.Fuzz(func(t *testing.T, device, output, contentType, name, value string) {
		m := message.Message{
			Device: device, Output: output, ContentType: contentType, Created: time.Unix(1, 0),
			Properties: []message.Property{{Name: name, Value: value}},
		}
		if device == "" || len(device)+len(output)+len(contentType)+len(name)+len(value) > 1000 {
			return
		}
		for _, s := range []string{device, output, contentType, name, value} {
			if !utf8.ValidString(s) {
				return // the encoder makes them valid
			}
		}
		back, err := readMessage(encode(&m)) // what the link gets
		if err != nil {
			t.Fatal(err)
		}
		topic := testIdentity("").eventsTopic(back)
		bag, ours := strings.CutPrefix(topic, eventsOfTheTest)
		pairs, fault := readByTheHub(bag)
		if !ours || fault != "" || strings.ContainsAny(topic, "+#\x00") {
			t.Fatalf("%s: %s", topic, fault)
		}
		want := map[string]string{
			"$.on": output, "$.mid": string(m.AppendID(nil)), "$.ctime": "1970-01-01T00:00:01.0000000Z",
			"deviceId": device, "listener": "", "codec": "",
		}
		if back.ContentType != "" {
			want["$.ct"] = contentType
		}
		for _, p := range back.Properties {
			if !systemKey(p.Name) {
				want[p.Name] = p.Value
			}
		}
		if !maps.Equal(pairs, want) {
			t.Errorf("the hub reads %q, want %q", pairs, want)
		}
	})
}

func TestWhatComesDownIsReadByItsTopic(t *testing.T) {
	t.Parallel()
	if id, status, err := parseTwinAnswer("204/?$rid=a-1&$version=7"); id != "a-1" || status != 204 || err != nil {
		t.Errorf("twin answer: %q, %d, %v", id, status, err)
	}
	for _, rest := range []string{"", "204", "x/?$rid=1", "200/?rid=1", "200/?$rid="} {
		if _, _, err := parseTwinAnswer(rest); err == nil {
			t.Errorf("twin answer %q is read", rest)
		}
	}
	if name, id, err := parseMethod("do%20it+now/?$rid=%7b1"); name != "do it+now" || id != "%7b1" || err != nil {
		t.Errorf("method: %q, %q, %v", name, id, err)
	}
	if _, _, err := parseMethod("ping"); err == nil {
		t.Error("a method without an id is read")
	}
	in, ok := parseInput("devices/e/modules/m/inputs/commands/%24.cdid=e&a%20b=c+d&flag&bad=%zz")
	want := map[string]string{"a b": "c+d", "flag": "", "bad": "%zz"}
	if !ok || in.Name != "commands" || !maps.Equal(in.Properties, want) {
		t.Errorf("input: %v, %+v", ok, in)
	}
	if in, ok := parseInput("devices/e/modules/m/inputs/commands"); !ok || in.Name != "commands" || len(in.Properties) != 0 {
		t.Errorf("input without a bag: %v, %+v", ok, in)
	}
	if _, ok := parseInput("devices/e/messages/devicebound/a=b"); ok {
		t.Error("a message to a device is taken for an input")
	}
}

func FuzzTopicsFromTheHubAreReadOrRefused(f *testing.F) {
	f.Add("devices/e/modules/m/inputs/i/%24.mid=1&a=b")
	f.Add("200/?$rid=1")
	f.Fuzz(func(t *testing.T, text string) {
		if in, ok := parseInput(text); ok && in.Properties == nil {
			t.Error("an input without a map")
		}
		if id, _, err := parseTwinAnswer(text); err == nil && (id == "" || !strings.Contains(text, id)) {
			t.Errorf("twin answer id %q", id)
		}
		if _, id, err := parseMethod(text); err == nil && (id == "" || !strings.Contains(text, id)) {
			t.Errorf("method id %q", id)
		}
	})
}

func TestFiltersNameTheModuleWhereTheEncodingIsPlain(t *testing.T) {
	t.Parallel()
	topics, qualities := Identity{Device: "edge", Module: "causeway"}.filters()
	want := []string{
		"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#",
		"devices/edge/modules/causeway/inputs/#",
	}
	if !slices.Equal(topics, want) || len(qualities) != len(topics) || qualities[3] != 1 {
		t.Errorf("filters %q, %v", topics, qualities)
	}
	if topics, _ = testIdentity("").filters(); topics[3] != "devices/+/modules/+/inputs/#" {
		t.Errorf("filter %q", topics[3])
	}
}
