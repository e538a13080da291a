// Package layout makes codecs of descriptions: a layout says in YAML or JSON what the
// frames of a device protocol look like, and is compiled to a native codec when it is
// loaded.
//
//	p, err := layout.Compile("meter", source)
//	...
//	registry.Add("meter", p.New)
//
// A small layout:
//
//	layout: 1
//	frame: {type: length, size: 2}
//	head: [{name: kind, type: u8}]
//	tail: [{name: crc, type: u16le, checksum: crc-16/modbus}]
//	select: kind
//	messages:
//	  hello:
//	    is: 1
//	    fields: [{name: serial, type: text, size: rest}]
//	    login: {device: serial, accept: "06", refuse: "15"}
//	  reading:
//	    is: 2
//	    fields: [{name: at, type: time}, {name: temperature, type: i16, scale: 0.1}]
//	    message: {time: at}
//	    ack: "06"
//
// The language is described in docs/codecs/layout.md, whose examples the tests of this
// package run, and in a JSON Schema for editors ([Schema]).
//
// # How it works
//
// The compiler walks the YAML tree once and makes a list of steps for the head, the
// tail and each message type. A step reads at the place where the run stands and puts
// the value of its field into a cell; each field has its slot, found when the layout is
// compiled. Neighbouring fields of fixed size become one step (fusedStep). A message's
// body is a list of members with their keys quoted already; the values are appended
// behind them. Repeats and groups that a body shows are written while they are decoded,
// into memory of the run, for the cells of an element are used again for the next.
// Expressions are typed closures; see docs/adr/0012.
//
// A dialogue has one run, which is all its memory: cells, a buffer for finished parts,
// a buffer for text that is not in the frame as it is, the counters, and the commands
// that wait. Decoding a known message allocates nothing.
//
// # What can go wrong
//
// Faults of a layout are found when it is compiled ([Error], with line and column). What
// a device sends wrong wraps codec.ErrMalformed, data before the login codec.ErrProtocol.
// What is over the budget of a frame wraps codec.ErrBroken: each step and each byte written
// costs one of 64 for each byte of the frame and a million to begin with, and elements take
// at least one byte, so that a decode is linear in the frame whatever the layout says.
package layout
