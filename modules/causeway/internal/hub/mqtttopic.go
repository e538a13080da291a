package hub

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// Topics of both hubs' MQTT heads (IoT Hub's documentation, and the edge hub's
// edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.Mqtt).
const (
	topicTwinGet       = "$iothub/twin/GET/?$rid="
	topicTwinReport    = "$iothub/twin/PATCH/properties/reported/?$rid="
	topicMethodAnswer  = "$iothub/methods/res/"
	prefixTwinAnswer   = "$iothub/twin/res/"
	prefixDesired      = "$iothub/twin/PATCH/properties/desired/"
	prefixMethod       = "$iothub/methods/POST/"
	topicLimit         = 65_535 // MQTT's own: a string has a length of two bytes
	publishLimit       = messageLimit
	publishHead        = 8 // of a PUBLISH beside topic and body, at most
	bagOutput          = "$.on"
	bagID              = "$.mid"
	bagContentType     = "$.ct"
	bagContentEncoding = "$.ce"
	bagCreated         = "$.ctime"
)

// errTopic is a publish of the hub that does not read as what its topic begins with.
var errTopic = errors.New("unreadable topic")

// filters are what the identity subscribes to, with the quality that is asked for: what has
// an answer of its own needs no PUBACK besides. Only a module has inputs.
func (id Identity) filters() (topics []string, qualities []byte) {
	topics, qualities = []string{prefixTwinAnswer + "#", prefixDesired + "#", prefixMethod + "#"}, []byte{0, 0, 0}
	if id.Module == "" {
		return topics, qualities
	}
	return append(topics, "devices/"+level(id.Device)+"/modules/"+level(id.Module)+"/inputs/#"), append(qualities, 1)
}

// level is an id as a level of a filter. One that has to be encoded is left to the hub,
// whose publishes to others do not come here: it is not written which encoding it uses.
func level(id string) string {
	if escapeID(id) != id {
		return "+"
	}
	return id
}

// userName says who logs in, and the product. The ids are not encoded.
func (id Identity) userName(version string) string {
	return withoutPort(id.HubName) + "/" + id.clientID() + "/?api-version=" + apiVersion +
		"&DeviceClientType=" + escapeID(version)
}

// clientID is the identity exactly.
func (id Identity) clientID() string {
	if id.Module == "" {
		return id.Device
	}
	return id.Device + "/" + id.Module
}

// eventsTopic is the topic of a message, with everything but its body in it. The hub reads
// names and values like .NET's Uri.UnescapeDataString: a space is %20, and a plus would
// stay one.
func (id Identity) eventsTopic(m *message.Message) string {
	topic := make([]byte, 0, 512)
	topic = append(topic, id.address("/messages/events/")[1:]...)
	start := len(topic)
	pair := func(name, value string) {
		if len(topic) > start {
			topic = append(topic, '&')
		}
		topic = appendEscaped(topic, name)
		topic = append(topic, '=')
		topic = appendEscaped(topic, value)
	}
	pair(id.outputName(), m.Output)
	pair(bagID, string(m.AppendID(nil)))
	if m.ContentType != "" {
		pair(bagContentType, m.ContentType)
	}
	if m.ContentEncoding != "" {
		pair(bagContentEncoding, m.ContentEncoding)
	}
	if !m.Created.IsZero() {
		pair(bagCreated, m.Created.UTC().Format(createdLayout))
	}
	pair(propertyDevice, m.Device)
	pair(propertyListener, m.Listener)
	pair(propertyCodec, m.Codec)
	for _, p := range m.Properties {
		if !systemKey(p.Name) && (id.Module != "" || !strings.EqualFold(p.Name, propertyDeviceOutput)) {
			pair(p.Name, p.Value)
		}
	}
	return string(topic)
}

// outputName is what an output is called in a bag; a device has none, only a property.
func (id Identity) outputName() string {
	if id.Module == "" {
		return propertyDeviceOutput
	}
	return bagOutput
}

// appendEscaped escapes like escapeID.
func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// systemKey tells names that the hub would take for its own in a bag, where nothing says
// that the user meant them. Over AMQP they are nothing special.
func systemKey(name string) bool {
	return strings.HasPrefix(name, "$.") || strings.EqualFold(name, "ack")
}

// parseBag reads name=value pairs joined by &. What is not encoded well stays as it is.
func parseBag(bag string) map[string]string {
	pairs := make(map[string]string)
	for bag != "" {
		var part string
		part, bag, _ = strings.Cut(bag, "&")
		name, value, _ := strings.Cut(part, "=")
		if name = unescape(name); name != "" {
			pairs[name] = unescape(value)
		}
	}
	return pairs
}

func unescape(s string) string {
	plain, err := url.PathUnescape(s) // which leaves a plus alone
	if err != nil {
		return s
	}
	return plain
}

// requestID is what stands behind $rid= in the last part of a topic, as it is written.
func requestID(query string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		if id, ok := strings.CutPrefix(part, "$rid="); ok {
			return id
		}
	}
	return ""
}

// parseTwinAnswer reads {status}/?$rid={id}.
func parseTwinAnswer(rest string) (id string, status int, err error) {
	number, query, _ := strings.Cut(rest, "/")
	status, err = strconv.Atoi(number)
	if id = requestID(query); err != nil || id == "" {
		return "", 0, fmt.Errorf("%w: twin answer %.128q", errTopic, rest)
	}
	return id, status, nil
}

// parseMethod reads {name}/?$rid={id}; the id is kept as it is written, to be sent back.
func parseMethod(rest string) (name, id string, err error) {
	name, query, _ := strings.Cut(rest, "/")
	if id = requestID(query); id == "" {
		return "", "", fmt.Errorf("%w: method %.128q", errTopic, rest)
	}
	return unescape(name), id, nil
}

// parseInput reads devices/{d}/modules/{m}/inputs/{input}/{bag}. System properties are
// not the handler's concern.
func parseInput(topic string) (Input, bool) {
	const levels = 7
	parts := strings.SplitN(topic, "/", levels)
	if len(parts) < levels-1 || parts[0] != "devices" || parts[2] != "modules" || parts[4] != "inputs" {
		return Input{}, false
	}
	in := Input{Name: unescape(parts[5]), Properties: map[string]string{}}
	if len(parts) == levels {
		bag, _, _ := strings.Cut(parts[6], "/")
		in.Properties = parseBag(bag)
		for name := range in.Properties {
			if strings.HasPrefix(name, "$.") {
				delete(in.Properties, name)
			}
		}
	}
	return in, true
}
