// Package mqtthead is the edge hub's MQTT head: it maps MQTT 3.1.1 connections to the
// sessions of an edge.Head. It keeps to what the real hub does, its oddities included:
//
//	devices/{d}[/modules/{m}]/messages/events/{bag}     telemetry in
//	devices/{d}/modules/{m}/inputs/{input}/{bag}        module inputs out
//	devices/{d}/messages/devicebound/{bag}              cloud-to-device messages out
//	$iothub/twin/GET, PATCH/properties/reported         twin requests in
//	$iothub/twin/res/{status}                           their answers out
//	$iothub/twin/PATCH/properties/desired               desired properties out
//	$iothub/methods/POST/{name}, res/{status}           method calls out, answers in
//
// A connection is one identity, which logs in with a token as its password. A bag is the
// message's properties, percent-encoded at the end of the topic.
//
// What the real hub swallows (a topic or bag that it cannot read, a message that is too
// large: acknowledged and lost) is swallowed here too, and told to Options.Swallowed.
// Options.Strict makes such a mistake end the connection.
//
// The packets are coded by mochi-mqtt; the rules of a session are the hub's own and here.
package mqtthead
