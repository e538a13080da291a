// Package portal serves a web page on which people watch the hub and work with it: what the
// Azure portal and the editors' message monitors show of a real one.
//
// The page is three embedded files without anything from elsewhere. What it does, it does
// through the control API; this package adds only what a browser needs besides: a feed of
// messages that stays small however many there are, and an overview in one answer.
//
// The feed keeps nothing for a page. Each page has a place in the hub's ring of messages and
// reads on from there a few times a second; what it is too slow for, or what is more than a
// person can read, is counted and left out. A page that has stopped reading is let go.
package portal
