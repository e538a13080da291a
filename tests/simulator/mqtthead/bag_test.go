package mqtthead

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestBagsAreReadAsTheHubDoes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text string
		want []pair
		ok   bool
	}{
		{"", nil, true},
		{"a=1&b=2", []pair{{"a", "1"}, {"b", "2"}}, true},
		{"a%20b=c%2Fd", []pair{{"a b", "c/d"}}, true},
		{"a=x+y", []pair{{"a", "x+y"}}, true}, // a plus is no space
		{"a", []pair{{"a", ""}}, true},
		{"a=", []pair{{"a", ""}}, true},
		{"?a=1", []pair{{"?a", "1"}}, true}, // the documentation's question mark ends up in the name
		{"a=%zz%4", []pair{{"a", "%zz%4"}}, true},
		{"a=%ff", []pair{{"a", "%ff"}}, true},
		{"a=%C3%A9", []pair{{"a", "é"}}, true},
		{"=1", nil, false},
		{"a=1&&b=2", nil, false},
		{"a=1=2", nil, false},
	}
	for _, c := range cases {
		got, err := parseBag(c.text)
		if (err == nil) != c.ok || err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
}

func TestSystemPropertiesHaveTheirOwnKeys(t *testing.T) {
	t.Parallel()
	p := published{id: edge.Identity{Device: "d", Module: "m"}, bag: "%24.on=out&%24.mid=1&%24.ct=application%2Fjson&%24.ce=utf-8&" +
		"%24.cid=c&%24.uid=u&%24.to=t&%24.exp=e&%24.ctime=k&%24.schema=s&%24.ifid=i&%24.sub=j&iothub-operation=o&ack=full&a=1&a=2"}
	m, err := readMessage(p, []byte("x"), true, true)
	if err != nil {
		t.Fatal(err)
	}
	system := map[string]string{
		"messageId": "1", "contentType": "application/json", "contentEncoding": "utf-8", "cid": "c", "userId": "u",
		"to": "t", "absolute-expiry-time": "e", "creationTime": "k", "messageSchema": "s", "iothub-interface-id": "i",
		"dt-subject": "j", "operation": "o", "ack": "full",
	}
	user := map[string]string{"a": "2", "mqtt-retain": "true", "mqtt-dup": "true"}
	if m.Output != "out" || !maps.Equal(m.System, system) || !maps.Equal(m.Properties, user) {
		t.Errorf("%+v", m)
	}
	m.From = p.id
	want := "%24.mid=1&%24.cid=c&%24.uid=u&%24.to=t&%24.ct=application%2Fjson&%24.ce=utf-8&%24.exp=e&%24.ctime=k&%24.schema=s&" +
		"%24.ifid=i&%24.sub=j&iothub-operation=o&%24.cdid=d&%24.cmid=m&a=2&mqtt-dup=true&mqtt-retain=true"
	if got := writeBag(&m); got != want {
		t.Errorf("out: %s", got)
	}
	p.bag = "%24.mid=1&$.mid=2"
	if _, err := readMessage(p, nil, false, false); !errors.Is(err, errBag) {
		t.Errorf("a system property twice: %v", err)
	}
}

func FuzzBag(f *testing.F) {
	for _, bag := range []string{"a=1&b=2", "%24.on=o", "a", "=", "&", "a=%", "a=%C3%A9+"} {
		f.Add(bag)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // the packet codec refuses those
		}
		m, err := readMessage(published{bag: text}, nil, false, false)
		if err != nil {
			if !errors.Is(err, errBag) {
				t.Errorf("error is not errBag: %v", err)
			}
			return
		}
		if _, empty := m.Properties[""]; empty && !strings.Contains(text, "%") {
			t.Error("a name is empty")
		}
		for key, value := range m.Properties {
			if key == "" || systemName(key) != "" || key == "$.on" {
				continue
			}
			pairs, err := parseBag(string(appendPair(nil, key, value)))
			if err != nil || len(pairs) != 1 || pairs[0] != (pair{key, value}) {
				t.Errorf("%q=%q came back as %q, %v", key, value, pairs, err)
			}
		}
	})
}
