// Package codectest is the conformance suite for codecs: [Run] plays dialogues
// written down in files against a codec, and [Fuzz] feeds it what they lead to.
//
// A case is a file *.txtar of sections that begin with a line "-- name --"; text
// before the first section says what the case is about:
//
//	A meter sends a reading and is acknowledged.
//	-- options.json --
//	{"id": "/serial"}
//	-- transport --
//	tcp
//	-- frame --
//	{"type": "line"}
//	-- allocs --
//	0
//	-- dialogue --
//	> "{\"serial\": \"m1\", \"v\": 1}\n"
//	@ {"device":"m1"}
//	= {"device":"m1","contentType":"application/json","contentEncoding":"utf-8","body":{"serial":"m1","v":1}}
//	<< "OK"
//
// Every section but the dialogue may be missing: then there are no options, the
// transport is tcp, the codec cuts the stream itself (a Framer), and nothing is
// said about allocations. The number in allocs is the budget for decoding the
// last frame of the case again.
//
// Lines of the dialogue that are done to the codec:
//
//	> bytes            from the device: a piece of the stream, or one datagram
//	command {json}     a command: name, payload, and a correlation ("1", "2" ... when missing)
//	tick +5s           time passes, then Tick is called
//
// Lines that are expected of it, in this order for each frame:
//
//	@ {json}           an identity: device, secret, accept, refuse
//	< bytes            the reply, written at once
//	= {json}           a message: device, contentType, contentEncoding, time, properties, and
//	                   body (as JSON where it is), text or hex
//	<< bytes           the acknowledgement, written when the messages are safe
//	<! bytes           what is written when a message was refused
//	result {json}      the end of a command: correlation, payload, error
//	close reason       the link is closed
//	! kind words       an error of the kind (malformed, protocol, refused, broken, unknown, bad, busy, framing)
//	                   that contains the words; the kind may be left out
//
// Bytes are hexadecimal, spaces between are free, or a quoted Go string. A # begins
// a comment line. Frames arrive at 2026-01-01 00:00:00 UTC, plus the ticks so far.
//
// Run with -update to have the expectations written into the files.
package codectest
