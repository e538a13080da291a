package mqtthead

import (
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestTopicsThatClientsPublishTo(t *testing.T) {
	t.Parallel()
	device, module := edge.Identity{Device: "d"}, edge.Identity{Device: "d", Module: "m"}
	cases := []struct {
		topic string
		want  published
		fails bool
	}{
		{"devices/d/messages/events", published{use: telemetry, id: device}, false},
		{"devices/d/messages/events/", published{use: telemetry, id: device}, false},
		{"devices/d/messages/events/a=1/", published{use: telemetry, id: device, bag: "a=1"}, false},
		{"devices/d/messages/events/a=1/b=2", published{use: telemetry, id: device, bag: "a=1"}, false},
		{"devices/d/modules/m/messages/events/%24.on=o&a=+", published{use: telemetry, id: module, bag: "%24.on=o&a=+"}, false},
		{"devices/d%20e/messages/events/", published{use: telemetry, id: edge.Identity{Device: "d e"}}, false},
		{"devices/d/modules//messages/events/", published{}, false},
		{"devices//messages/events/", published{}, false},
		{"devices/d/messages/other", published{}, false},
		{"devices/d/messages/eventsx", published{}, false},
		{"Devices/d/messages/events", published{}, false},
		{"anything", published{}, false},
		{"$iothub/twin/GET/?$rid=1", published{use: twinGet, rid: "1"}, false},
		{"$iothub/twin/GET/?%24rid=a%20b", published{use: twinGet, rid: "a b"}, false},
		{"$iothub/twin/PATCH/properties/reported/?$rid=2&$version=3", published{use: twinPatch, rid: "2"}, false},
		{"$iothub/methods/res/200/?$rid=g", published{use: methodAnswer, status: 200, rid: "g"}, false},
		{"$iothub/methods/res/fine/?$rid=g", published{}, true},
		{"$iothub/methods/res/99999999999/?$rid=g", published{}, true},
		{"$iothub/twin/GET/?$rid=", published{}, true},
		{"$iothub/twin/GET/", published{}, true},
		{"$iothub/twin/GET/?$rid=a=b", published{}, true},
		{"$iothub/twin/DELETE/?$rid=1", published{}, true},
	}
	for _, c := range cases {
		got, err := parseTopic(c.topic)
		if (err != nil) != c.fails || got != c.want {
			t.Errorf("%s: %+v, %v", c.topic, got, err)
		}
		if err != nil && !errors.Is(err, errTopic) {
			t.Errorf("%s: error is not errTopic: %v", c.topic, err)
		}
	}
}

func TestFiltersThatTheHubRecognises(t *testing.T) {
	t.Parallel()
	cases := []struct {
		filter string
		topic  edge.Topic
		known  bool
	}{
		{"devices/d/modules/m/inputs/#", edge.TopicInputs, true},
		{"devices/d/modules/m/#", edge.TopicInputs, true},
		{"devices/d/modules/m/inputs/+", 0, false},
		{"devices/d/messages/devicebound/#", edge.TopicC2D, true},
		{"$iothub/methods/POST/#", edge.TopicMethods, true},
		{"$iothub/twin/PATCH/properties/desired/#", edge.TopicDesired, true},
		{"$iothub/twin/res/#", 0, false},
		{"#", 0, false},
	}
	for _, c := range cases {
		if got, ok := topicOf(c.filter); got != c.topic || ok != c.known {
			t.Errorf("%s: %v %v", c.filter, got, ok)
		}
	}
}

func TestFiltersMatchAsMQTTSays(t *testing.T) {
	t.Parallel()
	cases := []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a/b/c", false}, {"+/b", "a/b", true}, {"+", "", true},
		{"a/#", "a", true}, {"a/#", "a/b/c", true}, {"a/#", "ab", false}, {"#", "a/b", true},
		{"#", "$iothub/x", false}, {"+/x", "$iothub/x", false}, {"$iothub/#", "$iothub/x", true},
		{"a//b", "a//b", true}, {"a/+/b", "a//b", true},
	}
	for _, c := range cases {
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("%s on %s: %v", c.filter, c.topic, got)
		}
	}
}

func TestUserNames(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		want string
		ok   bool
	}{
		{"hub/d/?api-version=2021-04-12&DeviceClientType=x%2F1", "d", true},
		{"hub/d/m/?api-version=1", "d/m", true},
		{"anything/d/api-version=1", "d", true},
		{"hub/d/m/api-version=1&auth-chain=a", "d/m", true},
		{"hub/d", "", false},
		{"hub/d/?DeviceClientType=x", "", false},
		{"hub/d/?api-version=", "", false},
		{"hub/d/m/n/?api-version=1", "", false},
		{"hub//?api-version=1", "", false},
		{"hub/d//?api-version=1", "", false},
		{"/d/?api-version=1", "", false},
		{"", "", false},
	}
	for _, c := range cases {
		id, err := parseUserName(c.name)
		if (err == nil) != c.ok || err == nil && id.String() != c.want {
			t.Errorf("%s: %s, %v", c.name, id, err)
		}
		if err != nil && !errors.Is(err, errUserName) {
			t.Errorf("%s: error is not errUserName: %v", c.name, err)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, topic := range []string{
		"devices/d/modules/m/messages/events/a=b", "$iothub/twin/GET/?$rid=1", "$iothub/methods/res/1/?$rid=1", "devices/%/%2",
	} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		p, err := parseTopic(topic)
		switch {
		case err != nil && !errors.Is(err, errTopic):
			t.Errorf("error is not errTopic: %v", err)
		case err != nil && p != published{}:
			t.Errorf("a refused topic has a meaning: %+v", p)
		case p.use == telemetry && (p.id.Device == "" || strings.Contains(p.bag, "/")):
			t.Errorf("%+v", p)
		case p.use > telemetry && p.rid == "":
			t.Errorf("no request id: %+v", p)
		}
		if !matches("#", topic) && !strings.HasPrefix(topic, "$") {
			t.Error("# does not match")
		}
		if !strings.ContainsAny(topic, "+#") && !matches(topic, topic) {
			t.Error("a topic does not match itself")
		}
	})
}
