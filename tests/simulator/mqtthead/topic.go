package mqtthead

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// use is what a client publishes for.
type use int

const (
	unknown use = iota
	telemetry
	twinGet
	twinPatch
	methodAnswer
)

// errTopic is a publish under $iothub that the hub has no use for: it ends the connection.
var errTopic = errors.New("unknown topic")

// published is a topic taken apart.
type published struct {
	use use
	// id and bag are those of telemetry.
	id  edge.Identity
	bag string
	// rid is the request's or the call's id, status the answer's.
	rid    string
	status int
}

const (
	hubPrefix     = "$iothub/"
	getPrefix     = "$iothub/twin/GET/?"
	patchPrefix   = "$iothub/twin/PATCH/properties/reported/?"
	answerPrefix  = "$iothub/methods/res/"
	callPrefix    = "$iothub/methods/POST/"
	desiredPrefix = "$iothub/twin/PATCH/properties/desired/"
	resultPrefix  = "$iothub/twin/res/"
	resultFilter  = "$iothub/twin/res/#"
	boundSuffix   = "messages/devicebound/#"
)

// parseTopic takes apart what a client publishes to. Outside of $iothub a topic that is
// not telemetry is unknown, which is no error.
func parseTopic(topic string) (published, error) {
	if !strings.HasPrefix(topic, hubPrefix) {
		return parseTelemetry(topic), nil
	}
	if query, ok := strings.CutPrefix(topic, getPrefix); ok {
		return withRequestID(published{use: twinGet}, topic, query)
	}
	if query, ok := strings.CutPrefix(topic, patchPrefix); ok {
		return withRequestID(published{use: twinPatch}, topic, query)
	}
	if rest, ok := strings.CutPrefix(topic, answerPrefix); ok {
		status, query, _ := strings.Cut(rest, "/?")
		number, err := strconv.ParseInt(status, 10, 32)
		if err != nil {
			return published{}, fmt.Errorf("%w: %.128q has no number as its status", errTopic, topic)
		}
		return withRequestID(published{use: methodAnswer, status: int(number)}, topic, query)
	}
	return published{}, fmt.Errorf("%w: %.128q", errTopic, topic)
}

func withRequestID(p published, topic, query string) (published, error) {
	pairs, err := parseBag(query)
	if err != nil {
		return published{}, fmt.Errorf("%w: %.128q: %w", errTopic, topic, err)
	}
	for _, pair := range pairs {
		if pair.key == "$rid" && pair.value != "" {
			p.rid = pair.value
			return p, nil
		}
	}
	return published{}, fmt.Errorf("%w: %.128q has no $rid", errTopic, topic)
}

// parseTelemetry reads devices/{d}[/modules/{m}]/messages/events[/][{bag}][/]. An
// unencoded slash ends the bag.
func parseTelemetry(topic string) published {
	rest, ok := strings.CutPrefix(topic, "devices/")
	if !ok {
		return published{}
	}
	p := published{use: telemetry}
	p.id.Device, rest, _ = strings.Cut(rest, "/")
	if after, module := strings.CutPrefix(rest, "modules/"); module {
		p.id.Module, rest, _ = strings.Cut(after, "/")
		if p.id.Module == "" {
			return published{}
		}
	}
	if p.id.Device == "" {
		return published{}
	}
	p.id.Device, p.id.Module = unescape(p.id.Device), unescape(p.id.Module)
	if rest == "messages/events" {
		return p
	}
	bag, ok := strings.CutPrefix(rest, "messages/events/")
	if !ok {
		return published{}
	}
	p.bag, _, _ = strings.Cut(bag, "/")
	return p
}

// inputFilter is how the hub recognises a subscription to inputs. Read only.
var inputFilter = regexp.MustCompile(`^devices/.+/modules/.+/#$`)

// topicOf is what a filter subscribes to in the hub. A filter without is granted, and
// brings nothing.
func topicOf(filter string) (edge.Topic, bool) {
	switch {
	case strings.HasPrefix(filter, callPrefix):
		return edge.TopicMethods, true
	case strings.HasPrefix(filter, desiredPrefix):
		return edge.TopicDesired, true
	case strings.HasSuffix(filter, boundSuffix):
		return edge.TopicC2D, true
	case inputFilter.MatchString(filter):
		return edge.TopicInputs, true
	}
	return 0, false
}

// matches applies a filter with its + and # to a topic.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		level, restFilter, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		part, restTopic, moreTopic := strings.Cut(topic, "/")
		if level != "+" && level != part {
			return false
		}
		switch {
		case !moreFilter && !moreTopic:
			return true
		case !moreTopic:
			return restFilter == "#" // a/# takes a as well
		case !moreFilter:
			return false
		}
		filter, topic = restFilter, restTopic
	}
}
