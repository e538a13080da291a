// Package check judges a run from what arrived: nothing lost, nothing twice, nothing out of
// its device's order, and how long it took.
package check
