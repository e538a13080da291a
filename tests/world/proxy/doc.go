// Package proxy is a bad network on loopback: it forwards TCP connections and UDP
// datagrams to a target, and on request delays, stalls, cuts, drops and reorders
// them. The target may change while it runs, as when a server comes back on
// another port. Nothing is forwarded twice: a device that counts acknowledgements
// without a number could not tell them apart.
package proxy
