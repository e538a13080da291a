// Package route chooses the module output of each message by declarative rules:
// the first rule whose condition holds, by order and then by name, sets the output
// and adds its properties; a message that no rule takes keeps its listener's.
//
// A condition is an expression of expr-lang over message.device, listener, codec,
// output, contentType, size, properties.<name> and body.<path>, for example
//
//	message.properties.kind == "alarm" && message.body.temperature > 90
//
// A property that is not there is "". The body is what the JSON says, and an empty
// object for any other content type; what is not there is nil.
//
// Conditions come from operators, bodies from devices, so both are bounded: the
// language is cut down to what takes time in proportion to the message.
package route
