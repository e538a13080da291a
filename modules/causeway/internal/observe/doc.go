// Package observe shows what the gateway does: log lines in the form of the IoT
// Edge runtime, with control of floods; metrics in the form that the edge's
// metrics collector reads; and health over HTTP. Nothing in it is global: the
// gateway makes one of each and hands it to the rooms.
package observe
