package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func mustParse(t *testing.T, text string) *Document {
	t.Helper()
	doc, faults := Parse([]byte(text))
	if faults != nil {
		t.Fatalf("faults: %v", faults)
	}
	return doc
}

func TestAnEmptyTwinIsACompleteDocumentWithoutListeners(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"$version":7,"$metadata":{"$lastUpdated":"x"}}`, `{"listeners":null,"log":null}`,
	} {
		doc := mustParse(t, text)
		want := &Document{
			SchemaVersion: "1.0",
			Listeners:     map[string]Listener{},
			Codecs:        map[string]Codec{},
			Routes:        map[string]Route{},
			Devices:       map[string]Device{},
			Identity: Identity{
				Keys: map[string]json.RawMessage{}, Devices: 1000, ShardSize: 20, AttachesPerSecond: 20,
				TwinRequestsPerSecond: 20, IdleSeconds: 900,
			},

			Authentication: map[string]Authentication{},
			Bans:           map[string]Ban{},
			Quarantine:     Quarantine{Devices: 256, Frames: 16, Bytes: 16384},

			Limits: Limits{
				Connections: 10000, QueuedCommands: 1000, FailedLogins: 5, FailedLoginsPerAddress: 50,
				FailedLoginsPerDevice: 20, CoolDownSeconds: 30,
			},
			Spool:       Spool{Bytes: 268435456, Full: "block", Durability: "hub", AlarmSeconds: 300},
			DeadLetters: DeadLetters{Count: 10000, Bytes: 16 << 20},
			Events: Events{
				Refused: true, Quarantined: true, IdentityRefused: true,
				PerSecond: 5, Burst: 100, DevicePerMinute: 30, DeviceBurst: 20,
			},
		}
		if !reflect.DeepEqual(doc, want) {
			t.Errorf("%s gives %+v, want %+v", text, doc, want)
		}
	}
}

func TestEveryDefaultOfAListenerIsFilledIn(t *testing.T) {
	doc := mustParse(t, `{"listeners":{"a":{"bind":"tcp://:5027","codec":"raw"}},"routes":{"r":{"output":"o"}}}`)
	want := Listener{
		Enabled: true, Bind: Bind{"tcp", ":5027"}, Codec: "raw", Ack: "stored", Output: "telemetry",
		UnknownDevices: "accept", Identity: "module", Unconfirmed: "reject", ProxyProtocol: ProxyProtocol{Mode: "off", Trusted: []Prefix{}}, Allow: []Prefix{},
		Limits: ListenerLimits{
			Connections: 10000, ConnectionsPerAddress: 2000, LoginBytes: 65536, LoginSeconds: 30,
			FrameBytes: 65536, IdleSeconds: 600, SendBytes: 65536,
		},
	}
	if got := doc.Listeners["a"]; !got.Equal(want) {
		t.Errorf("listener is\n%+v, want\n%+v", got, want)
	}
	route := Route{Output: "o", Order: 100, Properties: map[string]string{}}
	if got := doc.Routes["r"]; !reflect.DeepEqual(got, route) {
		t.Errorf("route is %+v, want %+v", got, route)
	}
}

func TestATLSListenerWithoutFilesUsesTheWorkloadAPI(t *testing.T) {
	for _, tls := range []string{``, `,"tls":{}`, `,"tls":null`} {
		doc := mustParse(t, `{"listeners":{"a":{"bind":"tls://:1","codec":"raw"`+tls+`}}}`)
		if got := doc.Listeners["a"].TLS; got == nil || *got != (TLS{ClientAuth: "none"}) {
			t.Errorf("with %q tls is %+v", tls, got)
		}
	}
}

func TestListenersAreEqualHoweverTheyAreWritten(t *testing.T) {
	one := mustParse(t, `{"listeners":{"a":{"bind":"udp://:1","codec":"json",
		"options":{"b":1.50,"a":{"y":[1,null],"x":"<&>"}},"limits":{"idleSeconds":1e2},"allow":["10.1.2.3/8"]}}}`)
	two := mustParse(t, `{"listeners":{"a":{"codec":"json","ack":"stored","enabled":true,"device":null,
		"allow":["10.0.0.0/8"], "limits":{"idleSeconds":100.0}, "bind":"udp://:1",
		"options": { "a":{"x":"<&>","y":[1,null],"gone":null}, "b":1.50 }}}}`)
	if !one.Listeners["a"].Equal(two.Listeners["a"]) {
		t.Errorf("%+v\nis not\n%+v", one.Listeners["a"], two.Listeners["a"])
	}
	if got := string(one.Listeners["a"].Options); got != `{"a":{"x":"<&>","y":[1,null]},"b":1.50}` {
		t.Errorf("options are %s", got)
	}
	three := mustParse(t, `{"listeners":{"a":{"bind":"udp://:1","codec":"json"}}}`)
	if one.Listeners["a"].Equal(three.Listeners["a"]) {
		t.Error("different listeners are equal")
	}
}

func TestTheBuiltInDocumentIsValid(t *testing.T) {
	if doc := mustParse(t, string(DefaultDocument())); len(doc.Listeners) != 1 {
		t.Errorf("it has %d listeners", len(doc.Listeners))
	}
}

// testdata/faults.txt: blocks of a document, then lines of "= fault".
func TestEveryFaultHasItsPointerAndSaysWhatIsAllowed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "faults.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		var doc, want []string
		for line := range strings.SplitSeq(block, "\n") {
			if fault, ok := strings.CutPrefix(line, "= "); ok {
				want = append(want, fault)
			} else if !strings.HasPrefix(line, "#") {
				doc = append(doc, line)
			}
		}
		t.Run(strings.Join(want, " and "), func(t *testing.T) {
			parsed, faults := Parse([]byte(strings.Join(doc, "\n")))
			var got []string
			for _, f := range faults {
				got = append(got, f.String())
			}
			if parsed != nil || !slices.Equal(got, want) {
				t.Errorf("%s\ngives %q\nwant  %q", strings.Join(doc, "\n"), got, want)
			}
		})
	}
}

func TestFaultsAreSortedAndAtMostTwenty(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `,"x%02d":1`, i)
	}
	_, faults := Parse([]byte(`{` + b.String()[1:] + `}`))
	if len(faults) != MaxFaults || faults[0].Pointer != "/x00" || faults[19].Pointer != "/x19" {
		t.Errorf("got %d faults, %v", len(faults), faults)
	}
}

func TestADocumentOverTheLimitIsRefused(t *testing.T) {
	_, faults := Parse([]byte(`{"a":"` + strings.Repeat("x", MaxDocument) + `"}`))
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "must have at most 1048576") {
		t.Errorf("faults: %v", faults)
	}
}

func TestTheSchemaDescribesEveryKeyAndMatchesTheTypes(t *testing.T) {
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	for name, typ := range map[string]reflect.Type{
		"":                          reflect.TypeFor[Document](),
		"limits":                    reflect.TypeFor[Limits](),
		"identity":                  reflect.TypeFor[Identity](),
		"log":                       reflect.TypeFor[Log](),
		"listeners/x":               reflect.TypeFor[Listener](),
		"listeners/x/tls":           reflect.TypeFor[TLS](),
		"listeners/x/proxyProtocol": reflect.TypeFor[ProxyProtocol](),
		"listeners/x/limits":        reflect.TypeFor[ListenerLimits](),
		"routes/x":                  reflect.TypeFor[Route](),
		"devices/x":                 reflect.TypeFor[Device](),
	} {
		var location []string
		if name != "" {
			location = strings.Split(name, "/")
		}
		node := s.at(location)
		var fields, keys []string
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			fields = append(fields, key)
		}
		for key, sub := range member2(node, "properties") {
			keys = append(keys, key)
			if s.resolve(sub)["description"] == nil {
				t.Errorf("%s/%s has no description", name, key)
			}
		}
		slices.Sort(fields)
		slices.Sort(keys)
		if !slices.Equal(fields, keys) {
			t.Errorf("%q: the type has %v, the schema %v", name, fields, keys)
		}
		if node["additionalProperties"] != false {
			t.Errorf("%q takes unknown keys", name)
		}
	}
}

func TestADocumentWrittenOutParsesToItself(t *testing.T) {
	doc := mustParse(t, fullDocument)
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustParse(t, string(text)); !reflect.DeepEqual(doc, again) {
		t.Errorf("%+v\nbecame\n%+v", doc, again)
	}
}

const fullDocument = `{"schemaVersion":"1.0","$version":4,
 "listeners":{"trackers":{"enabled":true,"bind":"tls://0.0.0.0:5027","codec":"teltonika","options":{"a":1},
   "frame":{"type":"line"},"ack":"decoded","output":"telemetry","device":"fixed-id",
   "unknownDevices":"allow-pattern","allowPattern":"^35[0-9]{13}$","identity":"device",
   "tls":{"certificate":"/certs/a.pem","key":"/certs/a.key","clientCA":"/certs/ca.pem","clientAuth":"require"},
   "proxyProtocol":{"mode":"optional","trusted":["10.0.0.0/8","::1"]},
   "allow":["10.0.0.0/8","192.168.7.7"],
   "limits":{"connections":10,"connectionsPerAddress":20,"loginBytes":65536,"loginSeconds":30,"frameBytes":65536,
     "idleSeconds":600,"sendBytes":65536,"queueBytes":4096}}},
 "routes":{"alarms":{"when":"message.properties.kind == 'alarm'","output":"alarms","order":10,"properties":{"k":"v"}}},
 "devices":{"meter-7":{"desired":{"interval":60,"big":123456789012345678901234567890}},"m8":{}},
 "identity":{"map":{"table":{"m8":"meter-8"},"rule":"device","prefix":"a-"},"keys":{"vault":{"kind":"http",
   "url":"https://keys/{device}","headers":{"Authorization":{"env":"TOKEN"}},"timeoutSeconds":3}},"devices":300},
 "limits":{"connections":10000,"queuedCommands":1000},
 "log":{"level":"debug"}}`

func FuzzParse(f *testing.F) {
	f.Add([]byte(fullDocument))
	f.Add(DefaultDocument())
	f.Add([]byte(`{"listeners":{"a":{"bind":"tcp://:1","codec":"raw","limits":{"idleSeconds":1e999999999}}}}`))
	f.Add([]byte(`[[[[{"a":null}]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, faults := Parse(data)
		if (doc == nil) != (len(faults) > 0) || len(faults) > MaxFaults {
			t.Fatalf("doc %v, faults %v", doc, faults)
		}
		if doc == nil {
			return
		}
		for name, d := range doc.Devices {
			d.Key = "" // is not written out
			doc.Devices[name] = d
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, faults := Parse(text)
		if faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
		if text2, _ := json.Marshal(again); !bytes.Equal(text, text2) {
			t.Fatalf("%s became %s", text, text2)
		}
	})
}
