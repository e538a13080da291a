// Package cloudhead is the AMQP side of IoT Hub for services: a node for tokens (or SASL
// PLAIN), a sender link to /messages/devicebound by which messages go to devices, and a
// receiver link from /messages/serviceBound/feedback that tells what became of them. It
// listens on a port of its own, as the cloud is another host than the edge hub.
package cloudhead
