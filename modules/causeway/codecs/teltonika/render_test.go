package teltonika

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestARecordBecomesOneMessage(t *testing.T) {
	out := receive(t, loggedIn(t, ""), packetOf(dataOf(codec16, rich())))
	m := out.Messages[0]
	same(t, m.Body, `{"timestamp":"2019-06-10T10:04:46.000Z","priority":"high","position":{"longitude":25.2796,
		"latitude":-54.6872,"altitude":-12,"angle":359,"satellites":11,"speed":88},"event":239,"eventName":"ignition",
		"generation":"onChange","io":{"ignition":1,"gsmSignal":4,"externalVoltage":12.345,"totalOdometer":100000,
		"iButton":"0102030405060708"}}`)
	if m.ContentType != "application/json" || m.ContentEncoding != "utf-8" || m.Device != "" {
		t.Errorf("message %+v", m)
	}
	if want := time.Date(2019, 6, 10, 10, 4, 46, 0, time.UTC); !m.Time.Equal(want) {
		t.Errorf("time %v, want %v", m.Time, want)
	}
	for name, want := range map[string]string{"kind": "avl", "avlCodec": "16", "priority": "high", "event": "239"} {
		if got := propertyOf(m, name); got != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
}

func TestUnitsAreNamedWhenAskedFor(t *testing.T) {
	out := receive(t, loggedIn(t, `{"units":true}`), packetOf(dataOf(codec8, rich())))
	var body struct{ Units map[string]string }
	if err := json.Unmarshal(out.Messages[0].Body, &body); err != nil {
		t.Fatal(err)
	}
	if len(body.Units) != 2 || body.Units["externalVoltage"] != "V" || body.Units["totalOdometer"] != "m" {
		t.Errorf("units %v", body.Units)
	}
}

func TestAPacketCanBeOneMessage(t *testing.T) {
	low, high := rich(), rich()
	low.millis, low.priority, low.event = low.millis+5000, 0, 0
	d := loggedIn(t, `{"body":"packet"}`)
	out := receive(t, d, packetOf(dataOf(codec8, low, high, low)))
	if len(out.Messages) != 1 || string(out.Ack) != "\x00\x00\x00\x03" {
		t.Fatalf("outcome %+v", out)
	}
	m := out.Messages[0]
	var body struct {
		Codec   string
		Records []struct{ Priority string }
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Codec != "8" || len(body.Records) != 3 || body.Records[1].Priority != "high" {
		t.Errorf("body %+v", body)
	}
	if propertyOf(m, "priority") != "high" || propertyOf(m, "event") != "239" || m.Time.Second() != 46 {
		t.Errorf("the most urgent record does not name the message: %v %+v", m.Time, m.Properties)
	}
	if out = receive(t, d, packetOf(dataOf(codec8))); len(out.Messages) != 0 || out.Ack == nil {
		t.Errorf("an empty packet: %+v", out)
	}
}

func TestAnElementOfAnotherWidthKeepsItsNumber(t *testing.T) {
	out := receive(t, loggedIn(t, ""), packetOf(dataOf(codec8Extended, point{event: 5, items: []sent{
		{id: 4, value: []byte{1}},                          // FMx6xx: digital input 4
		{id: 5, value: []byte{1, 2, 3, 4, 5, 6, 7, 8}},     // FMx6xx: Dallas sensor id 5
		{id: 331, value: []byte{1}},                        // FMx6xx: geofence zone 25
		{id: 60000, value: []byte{0xFF, 0xFF, 0xFF, 0xFF}}, // nobody's
		{id: 60001, value: []byte{}, long: true},
	}})))
	same(t, out.Messages[0].Body, `{"timestamp":"1970-01-01T00:00:00.000Z","priority":"low","position":`+nowhere+`,
		"event":5,"io":{"avl_4":1,"avl_331":1,"avl_60000":4294967295,"avl_5":"0102030405060708","avl_60001":""}}`)
}

func TestATextElementIsEscapedAndBytesThatAreNoneAreKept(t *testing.T) {
	out := receive(t, loggedIn(t, ""), packetOf(dataOf(codec8Extended, point{items: []sent{
		{id: 256, value: []byte("WVW\"\\\x01é\x00\x00"), long: true},
		{id: 281, value: []byte{'P', 0xFF}, long: true},
	}})))
	same(t, out.Messages[0].Body, `{"timestamp":"1970-01-01T00:00:00.000Z","priority":"low","position":`+nowhere+`,
		"event":0,"io":{"vin":"WVW\"\\\u0001é","avl_281":"50ff"}}`)
}

func TestABinaryTextIsKeptBesides(t *testing.T) {
	d := loggedIn(t, "")
	out := receive(t, d, packetOf(textOf(codec12, typeResponse, []byte{'a', 0xFF})))
	same(t, out.Messages[0].Body, `{"text":"a\ufffd","hex":"61ff"}`)
	command(t, d, "getver", "")
	r := answer(t, d, textOf(codec12, typeResponse, []byte{0x80}))
	same(t, r.Payload, `{"response":"\ufffd","hex":"80"}`)
}

func TestABrokenClockHasNoTimestamp(t *testing.T) {
	for _, millis := range []uint64{maxMillis + 1, math.MaxUint64} {
		out := receive(t, loggedIn(t, ""), packetOf(dataOf(codec8, point{millis: millis})))
		m := out.Messages[0]
		if !m.Time.IsZero() || !strings.HasPrefix(string(m.Body), `{"timestamp":null,`) {
			t.Errorf("%v %s", m.Time, m.Body)
		}
	}
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	check := func(millis uint64) {
		t.Helper()
		want := time.UnixMilli(int64(millis)).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(appendTime(nil, millis)); got != want {
			t.Fatalf("%d: %s, want %s", millis, got, want)
		}
	}
	// Every day of the first 250 years, and then every 37th.
	for day := uint64(0); day <= maxMillis/86400000; day++ {
		check(day*86400000 + day*7919%86400000)
		if day > 250*366 {
			day += 36
		}
	}
	check(0)
	check(maxMillis)
}

func TestNumbersAreExact(t *testing.T) {
	for _, c := range []struct {
		n        int64
		mul      uint64
		decimals uint8
		want     string
	}{
		{0, 1, 7, "0"},
		{1, 1, 7, "0.0000001"},
		{-1, 1, 7, "-0.0000001"},
		{1800000000, 1, 7, "180"},
		{-1234567890, 1, 7, "-123.456789"},
		{12345, 1, 3, "12.345"},
		{12300, 1, 3, "12.3"},
		{math.MinInt32, 1, 7, "-214.7483648"},
		{math.MinInt64, 1, 0, "-9223372036854775808"},
		{7, 25, 2, "1.75"},
		{9, 10, 0, "90"},
		{math.MaxUint32, maxMul, 9, "4294967295"},
	} {
		if got := string(appendSigned(nil, c.n, c.mul, c.decimals)); got != c.want {
			t.Errorf("%d * %d / 10^%d: %s, want %s", c.n, c.mul, c.decimals, got, c.want)
		}
	}
}

func TestSignedValuesOfEveryWidth(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want int64
	}{
		{"", 0}, {"80", -128}, {"7f", 127}, {"ffff", -1}, {"fe0c", -500}, {"ffffff", -1}, {"00ffff", 65535},
		{"fffffffe", -2}, {"8000000000000000", math.MinInt64},
	} {
		if got := signed(unhex(t, c.hex)); got != c.want {
			t.Errorf("%s: %d, want %d", c.hex, got, c.want)
		}
	}
}

func TestTheCheckSumIsThatOfTheSpecification(t *testing.T) {
	table := newCRCTable()
	if got := table.sum([]byte("123456789")); got != 0xBB3D {
		t.Errorf("%04X, want BB3D, the catalogue's check value", got)
	}
	data := dataOf(codec8Extended, rich(), rich())
	for n := range data {
		if got, want := table.sum(data[:n]), slowCRC(data[:n]); got != want {
			t.Fatalf("%d bytes: %04X, want %04X", n, got, want)
		}
	}
}
