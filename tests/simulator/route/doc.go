// Package route reads and evaluates the edge hub's route language:
//
//	[SELECT *] FROM <source> [WHERE <condition>] INTO <sink>
//
// A source is matched segment by segment as a prefix, without regard to case. A condition
// works in three values: true, false and undefined; only true lets a message through.
// Operands whose types do not fit one another make a comparison undefined.
package route
