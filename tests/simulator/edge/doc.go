// Package edge is the core of the offline IoT Edge: identities and their tokens, sessions,
// twins, direct methods, routes, module inputs, and the queue to the cloud. It knows
// no protocol: heads speak to it through Head and are spoken to through Session.
package edge
