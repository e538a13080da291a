package amqphead

import (
	"net/url"
	"strings"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// kind is a type of link. An identity has at most one of each on a connection.
type kind int

const (
	none kind = iota
	telemetry
	inputs
	c2d
	twinRequests
	twinAnswers
	methodAnswers
	methodCalls
)

// String returns the real hub's name of the type; it appears in refusals.
func (k kind) String() string {
	switch k {
	case telemetry:
		return "Events"
	case inputs:
		return "ModuleMessages"
	case c2d:
		return "C2D"
	case twinRequests:
		return "TwinReceiving"
	case twinAnswers:
		return "TwinSending"
	case methodAnswers:
		return "MethodReceiving"
	case methodCalls:
		return "MethodSending"
	}
	return "Unknown"
}

// sibling is the other half of a pair that must agree on a correlation id.
func (k kind) sibling() kind {
	switch k {
	case twinRequests:
		return twinAnswers
	case twinAnswers:
		return twinRequests
	case methodAnswers:
		return methodCalls
	case methodCalls:
		return methodAnswers
	}
	return none
}

// topic is what a link of the kind subscribes to by being attached.
func (k kind) topic() (edge.Topic, bool) {
	switch k {
	case inputs:
		return edge.TopicInputs, true
	case c2d:
		return edge.TopicC2D, true
	case twinAnswers:
		return edge.TopicDesired, true
	case methodCalls:
		return edge.TopicMethods, true
	}
	return 0, false
}

// isCBS tells whether the address is the node for tokens.
func isCBS(address string) bool {
	return strings.EqualFold(strings.TrimPrefix(pathOf(address), "/"), "$cbs")
}

// pathOf takes scheme, host and query off an address.
func pathOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	address, _, _ = strings.Cut(address, "?")
	return address
}

// classify finds kind and identity for an address. Words are matched whatever their
// case and from the right; ids are URL-decoded, a plus being a space.
func classify(address string, clientSends bool) (kind, edge.Identity) {
	rest, node := cutNode(strings.Split(pathOf(address), "/"))
	if node == "" {
		return none, edge.Identity{}
	}
	id, ok := cutIdentity(rest)
	if !ok {
		return none, edge.Identity{}
	}
	return kindOf(node, clientSends, id.Module != ""), id
}

// cutNode takes the words that name the node off the end.
func cutNode(parts []string) (rest []string, node string) {
	for _, node := range []string{"messages/events", "messages/devicebound", "methods/devicebound", "twin"} {
		n := strings.Count(node, "/") + 1
		if len(parts) > n && strings.EqualFold(strings.Join(parts[len(parts)-n:], "/"), node) {
			return parts[:len(parts)-n], node
		}
	}
	return nil, ""
}

// cutIdentity reads [.../]devices/{d}[/modules/{m}].
func cutIdentity(parts []string) (edge.Identity, bool) {
	n := len(parts)
	if n >= 4 && strings.EqualFold(parts[n-4], "devices") && strings.EqualFold(parts[n-2], "modules") {
		id := edge.Identity{Device: decode(parts[n-3]), Module: decode(parts[n-1])}
		return id, id.Device != "" && id.Module != ""
	}
	if n >= 2 && strings.EqualFold(parts[n-2], "devices") {
		id := edge.Identity{Device: decode(parts[n-1])}
		return id, id.Device != ""
	}
	return edge.Identity{}, false
}

// decode leaves a text alone that is no URL encoding: SDKs send ids as they are.
func decode(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

func kindOf(node string, clientSends, module bool) kind {
	switch {
	case node == "messages/events" && clientSends:
		return telemetry
	case node == "messages/events" && module:
		return inputs
	case node == "messages/devicebound" && !clientSends:
		return c2d
	case node == "twin" && clientSends:
		return twinRequests
	case node == "twin":
		return twinAnswers
	case node == "methods/devicebound" && clientSends:
		return methodAnswers
	case node == "methods/devicebound":
		return methodCalls
	}
	return none
}
