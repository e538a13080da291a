// Package payload makes what benchmark devices send and reads what arrives of it at the
// hub. Every message says whose it is, which one it is and when it left, so that the sink
// can count, judge order and measure time without knowing what was sent.
//
// A device's messages are numbered from 0. A JSON line holds all three in itself:
//
//	{"id":"d0000017","seq":1000000123,"t":1790000000000000000,"temperature":21.5,...}
//
// where seq is the number plus a billion, which keeps all lines equally long, and t the
// time of sending in nanoseconds. A Teltonika record holds its number as the total odometer
// and the time as its own time stamp, in milliseconds; whose it is says the login.
package payload
