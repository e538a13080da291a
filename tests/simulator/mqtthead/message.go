package mqtthead

import (
	"fmt"
	"maps"
	"slices"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// systemName is the hub's name of a property that a bag carries under a key of its own.
// Keys that it does not know are the user's.
func systemName(key string) string {
	switch key {
	case "$.mid":
		return "messageId"
	case "$.cid":
		return "cid"
	case "$.uid":
		return "userId"
	case "$.to":
		return "to"
	case "$.ct":
		return "contentType"
	case "$.ce":
		return "contentEncoding"
	case "$.exp":
		return "absolute-expiry-time"
	case "$.ctime":
		return "creationTime"
	case "$.schema":
		return "messageSchema"
	case "$.ifid":
		return "iothub-interface-id"
	case "$.sub":
		return "dt-subject"
	case "iothub-operation":
		return "operation"
	case "ack":
		return "ack"
	}
	return ""
}

// sentKeys are the keys of system properties in a bag that goes out, in its order. Read
// only.
var sentKeys = [...]string{
	"$.mid", "$.cid", "$.uid", "$.to", "$.ct", "$.ce", "$.exp", "$.ctime", "$.schema", "$.ifid", "$.sub",
	"iothub-operation",
}

// readMessage makes the message of a telemetry publish. Errors wrap errBag.
func readMessage(p published, payload []byte, retain, dup bool) (edge.Message, error) {
	m := edge.Message{From: p.id, Body: payload, Properties: map[string]string{}, System: map[string]string{}}
	pairs, err := parseBag(p.bag)
	if err != nil {
		return edge.Message{}, err
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		name := systemName(pair.key)
		if pair.key != "$.on" && name == "" {
			m.Properties[pair.key] = pair.value // the last of a name wins
			continue
		}
		if seen[pair.key] {
			return edge.Message{}, fmt.Errorf("%w: system property %q comes twice", errBag, pair.key)
		}
		seen[pair.key] = true
		if name == "" {
			m.Output = pair.value
		} else if pair.value != "" {
			m.System[name] = pair.value
		}
	}
	if retain {
		m.Properties["mqtt-retain"] = "true"
	}
	if dup {
		m.Properties["mqtt-dup"] = "true"
	}
	return m, nil
}

// writeBag is a message's properties on their way to a client: system properties first,
// then the originator, then the user's by name.
func writeBag(m *edge.Message) string {
	var bag []byte
	for _, key := range sentKeys {
		if value := m.System[systemName(key)]; value != "" {
			bag = appendPair(bag, key, value)
		}
	}
	if m.From.Device != "" {
		bag = appendPair(bag, "$.cdid", m.From.Device)
	}
	if m.From.Module != "" {
		bag = appendPair(bag, "$.cmid", m.From.Module)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
		bag = appendPair(bag, key, m.Properties[key])
	}
	return string(bag)
}
