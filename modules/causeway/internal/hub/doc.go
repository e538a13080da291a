// Package hub is the gateway's side of the edge hub: outputs, twin, methods and
// module inputs over one AMQP 1.0 connection. It is the only package that
// imports go-amqp and iothub.
//
// [Hub] keeps one connection alive: it dials with verified TLS, puts the token
// on $cbs, attaches the links, renews the token on the open connection, and
// starts again with full jitter whenever anything of it ends. [Uplink] is the
// way up: messages are encoded as they arrive into the batch being built, batches
// leave in order with many in flight, and each message's receipt is settled with
// the hub's disposition. What was in flight when a connection ended is sent
// again, in the same order, on the next. While the hub is away or slow, messages go
// by way of a [Store] on disk and their receipts are settled from there.
//
// The protocol is Azure/iotedge's edge hub: link addresses, settle modes, the
// batch format 0x80013700 and the int32 method status are as its sources have
// them (edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.Amqp).
package hub
