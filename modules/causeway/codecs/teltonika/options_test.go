package teltonika

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestABadOptionIsRefusedWithItsPlaceAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ options, pointer, says string }{
		{`{"body":"csv"}`, "/body", `"csv", allowed are "record" and "packet"`},
		{`{"names":1}`, "/names", "got 1, want string"},
		{`{"names":"both"}`, "/names", `allowed are "name" and "id"`},
		{`{"commandCodec":13}`, "/commandCodec", "13, allowed are 12 and 14"},
		{`{"maxPacket":1279}`, "/maxPacket", "allowed are 1280 to 1048576"},
		{`{"maxPacket":1048577}`, "/maxPacket", "allowed are 1280 to 1048576"},
		{`{"commandTimeoutSeconds":0}`, "/commandTimeoutSeconds", "allowed are 1 to 3600"},
		{`{"strict":true}`, "/strict", "unknown field"},
		{`{"elements":{"70000":{"name":"x"}}}`, "/elements", "allowed are 0 to 65535"},
		{`{"elements":{"07":{"name":"x"}}}`, "/elements", "allowed are 0 to 65535"},
		{`{"elements":{"7":{"name":"1x"}}}`, "/elements/7/name", "letter"},
		{`{"elements":{"7":{"name":"x-y"}}}`, "/elements/7/name", "letter"},
		{`{"elements":{"7":{}}}`, "/elements/7/name", "letter"},
		{`{"elements":{"7":{"name":"x","type":"float"}}}`, "/elements/7/type", "unsigned, signed, ascii and hex"},
		{`{"elements":{"7":{"name":"x","multiplier":0}}}`, "/elements/7/multiplier", "above 0"},
		{`{"elements":{"7":{"name":"x","multiplier":-1}}}`, "/elements/7/multiplier", "above 0"},
		{`{"elements":{"7":{"name":"x","multiplier":1e3}}}`, "/elements/7/multiplier", "above 0"},
		{`{"elements":{"7":{"name":"x","multiplier":0.1,"type":"hex"}}}`, "/elements/7/multiplier", "hex"},
		{`{"elements":{"7":{"name":"ignition"}}}`, "/elements", `share the name "ignition"`},
		{`[]`, "", "object"},
	} {
		_, err := New(json.RawMessage(c.options))
		var option *codec.OptionError
		if !errors.As(err, &option) {
			t.Errorf("%s: %v, want an option error", c.options, err)
			continue
		}
		if option.Pointer != c.pointer || !strings.Contains(option.Reason, c.says) {
			t.Errorf("%s: %q %q, want %q %q", c.options, option.Pointer, option.Reason, c.pointer, c.says)
		}
	}
}

func TestAConfiguredElementReplacesTheBuiltInOne(t *testing.T) {
	d := loggedIn(t, `{"units":true,"elements":{
		"5":{"name":"dallasTemperatureId5","type":"hex"},
		"18":{"name":"fuelRate","multiplier":0.1,"unit":"l/h"},
		"70":{"name":"pcbTemperature","type":"signed","multiplier":0.1,"unit":"°C"},
		"9000":{"name":"plate","type":"ascii"}}}`)
	out := receive(t, d, packetOf(dataOf(codec8Extended, point{items: []sent{
		{id: 70, value: []byte{0xFF, 0x38}},
		{id: 18, value: []byte{0x01, 0x02}},
		{id: 5, value: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{id: 9000, value: []byte("B-AB 1\x00\x00"), long: true},
	}})))
	same(t, out.Messages[0].Body, `{"timestamp":"1970-01-01T00:00:00.000Z","priority":"low","position":`+nowhere+`,
		"event":0,"io":{"pcbTemperature":-20,"fuelRate":25.8,"dallasTemperatureId5":"0102030405060708","plate":"B-AB 1"},
		"units":{"pcbTemperature":"°C","fuelRate":"l/h"}}`)
}
