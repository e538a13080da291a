// Package gateway is the wiring: it builds every room from the environment and
// the twin's document, applies changes by difference, and drains on the way out.
// It is the map of the program; no other package knows more than its neighbors.
//
// Up:   listen -> frame -> codec -> session -> route -> (spool) -> hub
// Down: hub -> twin | command -> session -> codec -> frame -> listen
//
// [Gateway.Run] starts with the last good configuration, so that devices are
// served while the hub is away; the twin, once it is fetched, replaces it. A
// document is compiled whole before anything of it is applied (see compile.go),
// so that a faulty one changes nothing. Listeners that did not change keep their
// connections (apply.go).
package gateway
