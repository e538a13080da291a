// Package amqphead is the edge hub's AMQP head: it maps AMQP connections and links
// to the sessions of an edge.Head. It keeps to what the real hub does, its oddities
// included, because a client has to live with those.
//
// The nodes are found by the link's address and direction alone:
//
//	$cbs                                        put-token and its answers
//	/devices/{d}[/modules/{m}]/messages/events  telemetry in, module inputs out
//	/devices/{d}/messages/devicebound           cloud-to-device messages out
//	/devices/{d}[/modules/{m}]/twin             twin requests in, answers and desired out
//	/devices/{d}[/modules/{m}]/methods/devicebound  answers in, method calls out
//
// Any number of identities may share a connection. Each is verified when its first
// link is attached, and whatever ends one of them ends the whole connection.
package amqphead
