package route_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/causeway-iot/causeway/tests/simulator/route"
)

func TestSourcesMatchAsPrefixesOfWholeSegments(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, from, source string
		want               bool
	}{
		{"/* takes a module's output", "/*", "/messages/modules/m/outputs/o", true},
		{"/* takes twin changes", "/*", "/twinChangeNotifications", true},
		{"/messages/* takes leaf telemetry", "/messages/*", "/messages", true},
		{"/messages/* takes no twin changes", "/messages/*", "/twinChangeNotifications", false},
		{"/messages/modules/* takes no leaf telemetry", "/messages/modules/*", "/messages", false},
		{"a module takes all its outputs", "/messages/modules/m/*", "/messages/modules/m/outputs/o", true},
		{"a module without a star does too", "/messages/modules/m", "/messages/modules/m/outputs/o", true},
		{"another module does not match", "/messages/modules/m/*", "/messages/modules/m2/outputs/o", false},
		{"outputs/* takes every output", "/messages/modules/m/outputs/*", "/messages/modules/m/outputs/o", true},
		{"outputs/* takes no message without an output", "/messages/modules/m/outputs/*", "/messages/modules/m", false},
		{"case does not matter", "/MESSAGES/modules/M/outputs/O", "/messages/modules/m/outputs/o", true},
		{"mod* is the whole segment mod", "/messages/modules/mod*", "/messages/modules/module/outputs/o", false},
		{"mod* takes mod", "/messages/modules/mod*", "/messages/modules/mod/outputs/o", true},
		{"a star in the middle is literal", "/messages/modules/*/outputs/o", "/messages/modules/m/outputs/o", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := route.Parse("FROM " + c.from + " INTO $upstream")
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Match(&route.Message{Source: c.source}); got != c.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func sample() *route.Message {
	return &route.Message{
		Source:     "/messages/modules/m/outputs/o",
		Properties: map[string]string{"temp": "21.5", "Kind": "alarm", "my-name": "x", "$odd": "user", "a.b": "dotted"},
		System: map[string]string{"connectionModuleId": "m", "messageId": "id-1", "odd": "system",
			"contentType": "application/json; charset=utf-8", "contentEncoding": "UTF-8"},
		Body: []byte(`{"a":{"b":[{"c":7},null,true]},"s":"text","$t":1,"n":null}`),
	}
}

func TestConditionsFollowTheLanguage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		condition string
		want      bool
	}{
		{`true`, true}, {`false`, false}, {`undefined`, false}, {`null`, false}, {`'true'`, false},
		{`Kind = 'alarm'`, true}, {`kind = "alarm"`, true}, {`KIND != 'alarm'`, false}, {`kind <> 'x'`, true},
		{`temp = 21.5`, false}, {`NOT (temp = 21.5)`, false}, {`as_number(temp) = 21.5`, true},
		{`as_number(temp) > 21 AND as_number(temp) <= 0x16`, true}, {`as_number(kind) > 1`, false},
		{`absent = 'x'`, false}, {`NOT absent = 'x'`, false}, {`absent = 'x' OR true`, true},
		{`absent = 'x' AND false`, false}, {`NOT (absent = 'x' AND false)`, true},
		{`is_defined(absent)`, false}, {`NOT IS_DEFINED($connectionModuleId)`, false},
		{`IS_DEFINED($connectionDeviceId)`, false}, {`$messageId = 'id-1'`, true}, {`$MESSAGEID = 'id-1'`, true},
		{`$odd = 'user'`, true}, {`{$odd} = 'system'`, true}, {`my-name = 'x'`, true}, {`a.b = 'dotted'`, true},
		{`1 + 2 * 3 = 7`, true}, {`(1 + 2) * 3 = 9`, true}, {`7 % 4 = 3`, true}, {`-3 + 5 = 2`, true}, {`6 / 4 = 1.5`, true},
		{`2 - -2 = 4`, true}, {`1e3 = 1000`, true}, {`'a' || 'b' = 'ab'`, true}, {`'a' || 1 = 'a1'`, false},
		{`absent ?? 'x' = 'x'`, true}, {`kind ?? 'x' = 'x'`, false},
		{`'it\'s' = "it's"`, true}, {`"\u0041\\" = 'A\\'`, true}, {`'a' < 'b'`, true}, {`'a' >= 'b'`, false},
		{`true = true`, true}, {`true > false`, false}, {`null = null`, true}, {`'1' = 1`, false},
		{`$body.a.b[0].c = 7`, true}, {`$body.a.b[2]`, true}, {`is_null($body.a.b[1])`, true}, {`$body.a.b[9] = 1`, false},
		{`$body.s = 'text'`, true}, {`{$body.s} = 'text'`, true}, {`$body.$t = 1`, true}, {`is_defined($body.a)`, false},
		{`is_null($body.n)`, true}, {`is_number($body.a.b[0].c)`, true}, {`is_string($body.s)`, true},
		{`is_bool($body.a.b[2])`, true}, {`is_defined($body.x.y)`, false}, {`$body['s'] = 'text'`, true},
		{`abs(-1) = 1`, true}, {`exp(0) = 1`, true}, {`power(2, 10) = 1024`, true}, {`square(3) = 9`, true},
		{`ceiling(1.2) = 2`, true}, {`floor(1.8) = 1`, true}, {`sign(-5) = -1`, true}, {`sqrt(81) = 9`, true},
		{`concat('a', 'b', 'c') = 'abc'`, true}, {`length('héllo') = 5`, true}, {`lower('AB') = 'ab'`, true},
		{`upper('ab') = 'AB'`, true}, {`substring('abcdef', 2) = 'cdef'`, true}, {`substring('abcdef', 2, 3) = 'cde'`, true},
		{`substring('abc', 9) = ''`, false}, {`index_of('hello', 'll') = 2`, true}, {`index_of('hello', 'x') = -1`, true},
		{`starts_with(kind, 'al')`, true}, {`ends_with(kind, 'rm')`, true}, {`contains(kind, 'lar')`, true},
		{`contains(absent, 'x')`, false}, {`twin_change_includes(properties.reported.a)`, false},
		{`kind = 'x' OR kind = 'alarm' AND as_number(temp) > 20`, true}, {`not not true`, true},
	}
	for _, c := range cases {
		t.Run(c.condition, func(t *testing.T) {
			t.Parallel()
			r, err := route.Parse("select * from /messages/* where " + c.condition + " into $Upstream")
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Match(sample()); got != c.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestBodyQueriesNeedJSONInUnicode(t *testing.T) {
	t.Parallel()
	wide := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	wider := func(s string) []byte {
		var b []byte
		for _, r := range s {
			b = binary.LittleEndian.AppendUint32(b, uint32(r))
		}
		return b
	}
	cases := []struct {
		name, contentType, encoding string
		body                        []byte
		want                        bool
	}{
		{"UTF-8 JSON is read", "application/json", "utf-8", []byte(`{"a":1}`), true},
		{"UTF-16 JSON is read", "application/json", "utf-16", wide(`{"a":1}`), true},
		{"UTF-32 JSON is read", "application/json", "utf-32", wider(`{"a":1}`), true},
		{"without a content type nothing is read", "", "utf-8", []byte(`{"a":1}`), false},
		{"without an encoding nothing is read", "application/json", "", []byte(`{"a":1}`), false},
		{"an array is no object", "application/json", "utf-8", []byte(`[{"a":1}]`), false},
		{"broken JSON does not match", "application/json", "utf-8", []byte(`{"a":1`), false},
	}
	r, err := route.Parse(`FROM /* WHERE $body.a = 1 INTO BrokeredEndpoint('/modules/x/inputs/y')`)
	if err != nil {
		t.Fatal(err)
	}
	if want := (route.Sink{Module: "x", Input: "y"}); r.Sink() != want {
		t.Fatalf("sink %v", r.Sink())
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &route.Message{Source: "/messages", Body: c.body,
				System: map[string]string{"contentType": c.contentType, "contentEncoding": c.encoding}}
			if got := r.Match(m); got != c.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestTwinChangeIncludesLooksIntoTwinChangesOnly(t *testing.T) {
	t.Parallel()
	r, err := route.Parse(`FROM /twinChangeNotifications WHERE twin_change_includes(properties.reported.temp) INTO $upstream`)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"properties":{"reported":{"temp":1}}}`:    true,
		`{"properties":{"reported":{"temp":null}}}`: true,
		`{"properties":{"reported":{"other":1}}}`:   false,
		`[]`: false,
	} {
		if got := r.Match(&route.Message{Source: route.TwinChangeSource, Body: []byte(body)}); got != want {
			t.Errorf("%s: got %v", body, got)
		}
	}
}

func TestBadRoutesAreRefusedWithThePlace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "FROM", "FROM messages INTO $upstream", "FROM //x INTO $upstream", "FROM /* INTO", "FROM /* INTO $down",
		"FROM /* INTO BrokeredEndpoint", `FROM /* INTO BrokeredEndpoint("/modules/m/inputs")`, "FROM /* WHERE INTO $upstream",
		"FROM /* WHERE a = INTO $upstream", "FROM /* WHERE (a INTO $upstream", "FROM /* WHERE nope(1) INTO $upstream",
		"FROM /* WHERE abs() INTO $upstream", "FROM /* WHERE power(1) INTO $upstream", "FROM /* WHERE 'a INTO $upstream",
		"FROM /* WHERE 1x = 1 INTO $upstream", "FROM /* WHERE a ! b INTO $upstream", "FROM /* INTO $upstream more",
		"SELECT a FROM /* INTO $upstream", "FROM /* WHERE $body[ INTO $upstream", "FROM /* WHERE {a} = 1 INTO $upstream",
		"FROM /* WHERE " + strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100) + " INTO $upstream",
		"FROM /* WHERE " + strings.Repeat("a", 5000) + " INTO $upstream", `FROM /* WHERE '\x' = 1 INTO $upstream`,
	} {
		if _, err := route.Parse(text); !errors.Is(err, route.ErrSyntax) {
			t.Errorf("%.60q: got %v, want ErrSyntax", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`SELECT * FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO $upstream`)
	f.Add(`FROM /messages/modules/a/outputs/b WHERE $body.a[0].b ?? 1 >= 0x1F AND as_number(x) < 1e-3 INTO BrokeredEndpoint("/modules/m/inputs/i")`)
	f.Add(`FROM /* WHERE {$body.s} = 'it\'s' || "\u0041" OR substring('abc', 1, 2) = concat(a, 'b') INTO $upstream`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := route.Parse(text)
		if err != nil {
			if !errors.Is(err, route.ErrSyntax) {
				t.Fatalf("error is no ErrSyntax: %v", err)
			}
			return
		}
		r.Match(sample())
	})
}
