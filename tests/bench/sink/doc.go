// Package sink is the hub of the comparison: the simulator's edge hub with its AMQP head,
// in which the telemetry of modules is counted and judged instead of stored. Everything else
// (tokens, twins, methods) is the simulator's own, so a module is served as on a device.
//
// A link to the address [Address] is counted as well and asks for no token: it is for
// programs that speak AMQP and know nothing of IoT Edge.
//
// A transfer is decoded just enough to find the body; its answer is given when it was
// counted, or Options.Delay later, as by a hub that stores on a slow disk. Transfers that
// wait for that do not hold up one another.
package sink
