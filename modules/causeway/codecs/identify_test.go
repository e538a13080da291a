package codecs

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// What the built-in codecs say of bytes; none of them may be surer than the right one.
func TestBuiltInCodecsRecogniseTheirOwn(t *testing.T) {
	const (
		login  = "000f333536333037303432343431303133"
		packet = "000000000000002808010000016b40d9ad80010000000000000000000000000000000103021503010101425e100000010000f22a"
		data   = "003dcafe0105000f33353230393330383634303336353508010000016b4f815b300100000000000000000000000000000001" +
			"03021503010101425dbc000001"
	)
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	cases := map[string]struct {
		hex, codec string
		least      int
	}{
		"a login of Teltonika":             {login, "teltonika", 95},
		"a login without its check digit":  {"000f333536333037303432343431303134", "teltonika", 80},
		"the beginning of a login":         {login[:20], "teltonika", 80},
		"a packet of Teltonika":            {packet, "teltonika", 99},
		"a packet with a wrong check sum":  {packet[:len(packet)-2] + "00", "teltonika", 40},
		"the beginning of a packet":        {packet[:30], "teltonika", 40},
		"a datagram of Teltonika":          {data, "teltonika", 95},
		"a datagram of another codec":      {data[:46] + "99" + data[48:], "teltonika", 40},
		"a datagram that is cut off":       {data[:60], "teltonika", 40},
		"pings":                            {"ffff", "teltonika", 5},
		"a JSON document":                  {text(`{"a": 1}`), "json", 95},
		"lines of JSON":                    {text("{\"a\": 1}\n{\"a\": 2"), "json", 85},
		"the beginning of a JSON document": {text(`{"a": "b`), "json", 40},
		"lines with columns":               {text("1,2,3\n4,5,6\n"), "csv", 75},
		"a line with columns":              {text("1,2,3"), "csv", 45},
		"a sentence":                       {text("Hello, world"), "", 0},
		"lines that differ":                {text("1,2,3\n4,5\n"), "", 0},
		"NMEA":                             {text("$GPGGA,1,2,3"), "", 0},
		"a number":                         {text("5"), "", 0},
		"bytes":                            {"0102030405060708090a", "", 0},
		"zeros":                            {"00000000000000000000", "", 0},
		"a packet over the limit":          {"000000007fffffff0801", "", 0},
	}
	registry, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			for codecName, i := range identifiers(t, registry) {
				got, reason := i.Identify(data)
				switch {
				case codecName == c.codec && got < c.least:
					t.Errorf("%s is %d %% sure (%s), want at least %d", codecName, got, reason, c.least)
				case codecName != c.codec && got > 0:
					t.Errorf("%s is %d %% sure (%s)", codecName, got, reason)
				case got > 0 && reason == "":
					t.Errorf("%s gives no reason", codecName)
				}
			}
		})
	}
}

func identifiers(tb testing.TB, registry *codec.Registry) map[string]codec.Identifier {
	tb.Helper()
	all := map[string]codec.Identifier{}
	for _, name := range registry.Names() {
		c, err := registry.New(name, json.RawMessage(nil))
		if err != nil {
			tb.Fatal(err)
		}
		if i, ok := c.(codec.Identifier); ok {
			all[name] = i
		}
	}
	if len(all) == 0 {
		tb.Fatal("no codec recognises its own")
	}
	return all
}

func FuzzIdentify(f *testing.F) {
	f.Add([]byte("\x00\x0f356307042441013"))
	f.Add([]byte(`{"a": 1}`))
	f.Add([]byte("1,\"2\",3\n"))
	registry, err := All()
	if err != nil {
		f.Fatal(err)
	}
	all := identifiers(f, registry)
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, i := range all {
			if got, reason := i.Identify(data); got < 0 || got > 100 || got > 0 && reason == "" {
				t.Errorf("%s: %d, %q", name, got, reason)
			}
		}
	})
}
