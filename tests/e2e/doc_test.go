// Package e2e tries the product from outside: real processes, real sockets, the
// offline simulator as the hub and devices written for the test. Nothing here
// imports the gateway; it is built, started with the environment that the
// simulator gives, and judged by what devices and hub see.
package e2e
