// Package hub is the gateway's side of the edge hub, or of IoT Hub itself: outputs, twin,
// methods and module inputs over one connection, which speaks AMQP 1.0 or MQTT 3.1.1,
// either over TLS or over WebSocket. It is the only package that imports go-amqp, iothub,
// paho and websocket.
//
// [Hub] keeps one connection alive: it dials with verified TLS, and starts again with
// full jitter whenever anything of it ends. What a connection must do for it is link.
// Over AMQP the token is put on $cbs, the links are attached, and the token is renewed
// on the open connection; over MQTT it is the password, what comes down is subscribed to,
// and a new token takes a new connection. [Uplink] is the
// way up: messages are encoded as they arrive into the batch being built, batches
// leave in order with many in flight, and each message's receipt is settled with
// the hub's disposition. What was in flight when a connection ended is sent
// again, in the same order, on the next; a message over which alone connections end over
// MQTT counts as refused. While the hub is away or slow, messages go
// by way of a [Store] on disk and their receipts are settled from there.
//
// The protocol is Azure/iotedge's edge hub: link addresses, settle modes, the
// batch format 0x80013700 and the int32 method status, topics and property bags are
// as its sources have them (edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.Amqp
// and Hub.Mqtt).
package hub
