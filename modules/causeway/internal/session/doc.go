// Package session holds one device's dialogue: who it is, what it may do, the
// order of its acknowledgements and the commands it has not answered yet; and the
// [Table] of all that are live.
//
// A session takes frames from its link, gives them to the codec's dialogue, and
// turns the outcome into messages for the uplink and bytes for the device. An
// acknowledgement waits in an [exchange] until the uplink has settled every
// message of its outcome; acknowledgements leave in the order of their frames.
//
// Who a device may be is an [Admission]'s to say. Where that takes a while, the
// goroutine of a stream waits for the verdict, and what comes meanwhile stays unread;
// nothing on the way of a datagram waits, so its claim is judged aside, and what comes
// meanwhile is not taken. Whom nobody knows may be held in [Quarantine].
//
// Locks, in the order in which they may be taken: ward.mu (what is kept of a device in
// quarantine), Session.sideMu (the lane of commands and ticks), Session.turn (one call
// of the dialogue at a time), Session.acks.mu, Table.mu; standing.mu and Quarantine.mu
// by themselves. The uplink may wait only where none of them is held:
// the side lane never waits for it. It calls back into acks.mu only.
package session
