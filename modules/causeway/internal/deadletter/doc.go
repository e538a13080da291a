// Package deadletter keeps what could not be passed on: frames that no codec could
// decode, and messages that the hub refused for good.
//
// [Ring] is the bounded memory of them on disk, the oldest dropped first, from
// which they are listed and replayed. [Output] tells of each as a message on the
// module output "deadletter", as far as its rate allows. Neither makes who
// reports a letter wait, and a dead letter that is refused in its turn is counted,
// not kept again.
package deadletter
